// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// identityModel says whose live deployment it is: there is one per Worker.
type identityModel struct {
	AccountID types.String `tfsdk:"account_id"`
	Worker    types.String `tfsdk:"worker"`
	Plane     types.String `tfsdk:"plane"`
}

// IdentitySchema implements resource.ResourceWithIdentity. The identity is
// mutable, because a Worker can be named by its id or its name, and renamed.
func (r *deploymentResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{
		Attributes: tfkit.IdentityAttributes(map[string]identityschema.Attribute{
			"worker": identityschema.StringAttribute{
				RequiredForImport: true,
				Description:       "Id or name of the Worker, as in the attribute worker.",
			},
		}),
	}
}

func (m model) identity() identityModel {
	return identityModel{AccountID: m.AccountID, Worker: m.Worker, Plane: m.Plane}
}
