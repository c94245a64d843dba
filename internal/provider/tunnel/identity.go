// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// identityModel is what makes a tunnel unique among all planes.
type identityModel struct {
	AccountID types.String `tfsdk:"account_id"`
	TunnelID  types.String `tfsdk:"tunnel_id"`
	Plane     types.String `tfsdk:"plane"`
}

// IdentitySchema implements resource.ResourceWithIdentity.
func (r *tunnelResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{
		Attributes: tfkit.IdentityAttributes(map[string]identityschema.Attribute{
			"tunnel_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the tunnel, a UUID."},
		}),
	}
}

func (m model) identity() identityModel {
	return identityModel{AccountID: m.AccountID, TunnelID: m.ID, Plane: m.Plane}
}
