// SPDX-License-Identifier: MPL-2.0

package hostname

import (
	"context"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tunnel"
)

var nameForm = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*$`)

func resourceSchema(context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A public host name of a tunnel: a proxied CNAME record that points to it. The tunnel's `ingress` says what answers there.\n\n" +
			"Records that this resource has not made are respected: where the name has an A, AAAA or CNAME record already, the plan is refused, unless `overwrite` is set. Destroying " +
			"takes away the record, unless it points elsewhere by then.\n\n" +
			"Permission groups: `DNS Write` of the zone (`DNS Read` suffices for planning).",
		Attributes: map[string]schema.Attribute{
			"tunnel_id": schema.StringAttribute{
				Required: true, MarkdownDescription: "Id of the tunnel. Changed in place.", Validators: []validator.String{tunnel.ID()},
			},
			"zone_id": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Id of the zone that the name is in, 32 hexadecimal digits; the data source `hybridge_zone` finds it. A change replaces the object.",
				Validators:          []validator.String{tfkit.Check("the id of a zone, 32 lower-case hexadecimal digits", regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString)},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"hostname": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "Whole host name in lower case, e.g. `app.example.com`, or `*.example.com` for all that have no record of their own; in Punycode if it is not ASCII. " +
					"A change replaces the object.",
				Validators: []validator.String{
					stringvalidator.LengthAtMost(253), tfkit.Check("a host name in lower case such as app.example.com or *.example.com", nameForm.MatchString),
				},
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"proxied": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(true),
				MarkdownDescription: "Whether Cloudflare answers for the name, as a tunnel needs it; with `false` it resolves to nothing that can be reached, e.g. to take it out of service. " +
					"Default: `true`. Changed in place.",
			},
			"overwrite": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether records of other makers that stand in the way are replaced when this one is made; the plan names them. Default: `false`. Changed in place, without a request.",
			},
			"plane":      tfkit.PlaneAttribute(),
			"account_id": tfkit.AccountAttribute(),
			"id": schema.StringAttribute{
				Computed: true, MarkdownDescription: "Id of the DNS record. Never changes.", PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
		},
	}
}
