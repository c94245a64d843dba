// SPDX-License-Identifier: MPL-2.0

package version

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// identityModel is what makes a version unique among all planes.
type identityModel struct {
	AccountID types.String `tfsdk:"account_id"`
	Worker    types.String `tfsdk:"worker"`
	VersionID types.String `tfsdk:"version_id"`
	Plane     types.String `tfsdk:"plane"`
}

// IdentitySchema implements resource.ResourceWithIdentity.
func (r *versionResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{
		Attributes: tfkit.IdentityAttributes(map[string]identityschema.Attribute{
			"worker": identityschema.StringAttribute{
				RequiredForImport: true,
				Description:       "Id of the Worker; for an import its name will do.",
			},
			"version_id": identityschema.StringAttribute{
				RequiredForImport: true,
				Description:       "Id of the version, a UUID.",
			},
		}),
	}
}

func (m model) identity() identityModel {
	return identityModel{AccountID: m.AccountID, Worker: m.WorkerID, VersionID: m.ID, Plane: m.Plane}
}
