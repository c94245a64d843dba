// SPDX-License-Identifier: MPL-2.0

package worker

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/float64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

const description = "A Worker: its name and what is not versioned. The code is a `hybridge_worker_version`, what is live a " +
	"`hybridge_worker_deployment`.\n\n" +
	"Destroying a Worker deletes all its versions, deployments and settings. If something else refers to it, the destroy stops and " +
	"says what does, unless `force_destroy` is set.\n\n" +
	"Permission groups: `Workers Scripts Write` (`Workers Scripts Read` suffices for planning)."

func resourceSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: description,
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "Name of the Worker, unique in the account: lower-case letters, digits, `-` and `_`, at most 63 characters where " +
					"`subdomain` is enabled and 255 otherwise. A change renames the Worker in place: `id`, versions and deployments stay, its " +
					"`url` changes, and bindings of other Workers that name it must follow.",
				Validators: []validator.String{tfkit.WorkerName()},
			},
			"plane":                  tfkit.PlaneAttribute(),
			"residency":              tfkit.ResidencyAttribute(),
			"residency_acknowledged": tfkit.ResidencyAcknowledgedAttribute(),
			"subdomain": schema.SingleNestedAttribute{
				Optional: true,
				Computed: true,
				Default: objectdefault.StaticValue(types.ObjectValueMust(subdomainTypes, map[string]attr.Value{
					"enabled": types.BoolValue(false), "previews_enabled": types.BoolValue(false),
				})),
				MarkdownDescription: "Where the Worker answers below the account's `workers.dev` subdomain. Default: nowhere. Changed in place.",
				Attributes: map[string]schema.Attribute{
					"enabled": schema.BoolAttribute{
						Optional: true, Computed: true, Default: booldefault.StaticBool(false),
						MarkdownDescription: "Whether the live deployment answers at `url`. Default: `false`. Changed in place.",
					},
					"previews_enabled": schema.BoolAttribute{
						Optional: true, Computed: true, Default: booldefault.StaticBool(false),
						MarkdownDescription: "Whether each version answers at a preview URL of its own. Default: `false`. Changed in place.",
					},
				},
			},
			"observability": schema.SingleNestedAttribute{
				Optional: true,
				MarkdownDescription: "Logs and traces that the plane keeps. What is left out, here and below, is the plane's to decide and is never shown " +
					"as drift; removing the whole block disables observability. Default: not managed. Changed in place.",
				Attributes: map[string]schema.Attribute{
					"enabled": schema.BoolAttribute{
						Required:            true,
						MarkdownDescription: "Whether observability is on. Changed in place.",
					},
					"head_sampling_rate": samplingRate("requests"),
					"logs": schema.SingleNestedAttribute{
						Optional:            true,
						MarkdownDescription: "Settings of logs. Default: the plane's. Changed in place.",
						Attributes: map[string]schema.Attribute{
							"enabled":            optionalBool("Whether logs are kept."),
							"head_sampling_rate": samplingRate("logs"),
							"invocation_logs":    optionalBool("Whether one log line per invocation is written."),
							"persist":            optionalBool("Whether logs are stored by the plane, not just forwarded."),
							"destinations":       destinations("logs"),
						},
					},
					"traces": schema.SingleNestedAttribute{
						Optional:            true,
						MarkdownDescription: "Settings of traces. Default: the plane's. Changed in place.",
						Attributes: map[string]schema.Attribute{
							"enabled":            optionalBool("Whether traces are kept."),
							"head_sampling_rate": samplingRate("traces"),
							"persist":            optionalBool("Whether traces are stored by the plane, not just forwarded."),
							"destinations":       destinations("traces"),
						},
					},
				},
			},
			"logpush": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether events of the Worker go to the account's Logpush jobs. Default: `false`. Changed in place.",
			},
			"tags": schema.SetAttribute{
				ElementType: types.StringType,
				Optional:    true, Computed: true,
				Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
				MarkdownDescription: "Tags of the Worker. Default: none. Changed in place.",
				Validators:          []validator.Set{tfkit.NoNulls{}, setvalidator.ValueStringsAre(stringvalidator.LengthBetween(1, 1024))},
			},
			"force_destroy": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Whether a destroy goes ahead although something else refers to the Worker, e.g. a service binding. It must be applied " +
					"before the destroy. Default: `false`. Changed in place, without a request.",
			},
			"account_id": tfkit.AccountAttribute(),
			"id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Id of the Worker, 32 hexadecimal digits. Never changes.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"created_on": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When the Worker was created, RFC 3339 in UTC. Never changes.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"url": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "Where the live deployment answers; null unless `subdomain.enabled`. Changes with `name` and with the account's " +
					"`workers.dev` subdomain.",
			},
		},
	}
}

func optionalBool(meaning string) schema.BoolAttribute {
	return schema.BoolAttribute{Optional: true, MarkdownDescription: meaning + " Default: the plane's. Changed in place."}
}

func samplingRate(of string) schema.Float64Attribute {
	return schema.Float64Attribute{
		Optional:            true,
		MarkdownDescription: "Share of " + of + " that is sampled, from `0` to `1`. Default: the plane's. Changed in place.",
		Validators:          []validator.Float64{float64validator.Between(0, 1)},
	}
}

func destinations(of string) schema.SetAttribute {
	return schema.SetAttribute{
		ElementType:         types.StringType,
		Optional:            true,
		MarkdownDescription: "Names of the account's destinations that " + of + " are exported to. Default: the plane's. Changed in place.",
		Validators:          []validator.Set{tfkit.NoNulls{}, setvalidator.SizeAtLeast(1)},
	}
}
