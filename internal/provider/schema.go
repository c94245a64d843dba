// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/float64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// socketURL is what the descriptions of every base_url say.
const socketURL = "A plane on this very machine may be reached by its unix socket: `unix:///run/hybridge/api.sock`, or with a path of its API " +
	"`unix:///run/hybridge/api.sock:/client/v4` (the default); a colon in the socket's own path is written `%3A`."

// regionText is what the descriptions of every region say.
const regionText = "In your own words, e.g. `fr` or `eu-west`: lower-case letters, digits, `-` and `_`. `residency` of resources is compared with it. " +
	"A self-hosted plane whose own `agent.yaml` names another region is an error at plan, for which each plane is asked once. Default: what a self-hosted plane says of itself."

// providerSchema is the schema of the provider block. Nothing is required in it:
// the default plane may come from the environment, or be absent if every resource
// names a plane.
func providerSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Deploys the same Cloudflare Workers to Cloudflare's edge and to self-hosted planes. " +
			"The provider block itself configures the *default plane*; `planes` adds further ones by name.",
		Attributes: map[string]schema.Attribute{
			"api_token": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "API token of the default plane, 40 to 80 characters. Default: `api_token_sops`, else the environment variable `" + envToken + "`. " +
					"A value that is unknown at plan is an error; the environment never stands in for it. " + storedToken,
				Validators: []validator.String{tfkit.APIToken()},
			},
			"api_token_sops": tokenSOPSAttribute("API token of the default plane in a SOPS file, instead of `api_token`; it goes before the environment. Default: none."),
			"access": accessAttribute("the default plane", "the environment variables `"+cloudflare.EnvAccessClientID+"` and `"+cloudflare.EnvAccessClientSecret+
				"` where `base_url` leads to neither of these two, else none."),
			"account_id": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Account of the default plane, 32 hexadecimal digits. Default: the environment variable `" +
					envAccount + "`.",
				Validators: []validator.String{tfkit.AccountID()},
			},
			"base_url": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "URL of the default plane's Cloudflare API, with or without a trailing slash. Default: the environment variable `" +
					envBaseURL + "`, else `" + cloudflare.DefaultBaseURL + "`. A URL without a path gets `/client/v4`. " + socketURL,
			},
			"region": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Where the default plane is. " + regionText,
				Validators:          []validator.String{tfkit.Region()},
			},
			"insecure_http": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Accept plain `http` to a host other than loopback for the default plane. The API token then travels unencrypted. Default: `false`.",
			},
			"planes": schema.MapNestedAttribute{
				Optional: true,
				MarkdownDescription: "Further planes by name. A resource or data source picks one with `plane = \"NAME\"`. " +
					"A plane is contacted, and its token decrypted, only when something asks it, so one that is down or whose token cannot be decrypted never affects the others. The environment is not consulted for these. Default: none.",
				Validators: []validator.Map{mapvalidator.KeysAre(tfkit.PlaneName()), tfkit.NoNulls{}},
				NestedObject: schema.NestedAttributeObject{
					Attributes: map[string]schema.Attribute{
						"base_url": schema.StringAttribute{
							Optional: true,
							MarkdownDescription: "URL of the plane's Cloudflare API, e.g. `https://paris.example.com/client/v4`. " +
								"Default: `" + cloudflare.DefaultBaseURL + "` (a second Cloudflare account). " + socketURL,
						},
						"account_id": schema.StringAttribute{
							Required:            true,
							MarkdownDescription: "Account on that plane, 32 hexadecimal digits.",
							Validators:          []validator.String{tfkit.AccountID()},
						},
						"api_token": schema.StringAttribute{
							Optional:  true,
							Sensitive: true,
							MarkdownDescription: "API token of that plane, 40 to 80 characters. Never sent to another plane. " +
								"Exactly one of `api_token` and `api_token_sops` is needed. " + storedToken,
							Validators: []validator.String{tfkit.APIToken()},
						},
						"api_token_sops": tokenSOPSAttribute("API token of that plane in a SOPS file. Exactly one of `api_token` and `api_token_sops` is needed."),
						"access":         accessAttribute("that plane", "none."),
						"region": schema.StringAttribute{
							Optional:            true,
							MarkdownDescription: "Where that plane is. " + regionText,
							Validators:          []validator.String{tfkit.Region()},
						},
						"insecure_http": schema.BoolAttribute{
							Optional:            true,
							MarkdownDescription: "Accept plain `http` to a host other than loopback for this plane. The API token then travels unencrypted. Default: `false`.",
						},
					},
				},
			},
			"sops": sopsAttribute(),
			"requests_per_second": schema.Float64Attribute{
				Optional: true,
				MarkdownDescription: "Most requests per second that one plane gets on average from one run. " +
					"Default: on Cloudflare's edge what keeps one run below its limit of 1200 requests in 5 minutes; no limit on other planes.",
				Validators: []validator.Float64{float64validator.AtLeast(0.1)},
			},
			"max_retries": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "How often a request that is safe to repeat is repeated after a failure of the network or the plane. Default: `5`.",
				Validators:          []validator.Int64{int64validator.Between(0, 10)},
			},
			"request_timeout": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Longest time for one attempt of a request, e.g. `30s`. Default: `60s`.",
				Validators:          []validator.String{tfkit.Duration()},
			},
			"user_agent_suffix": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Text appended to the `User-Agent` header of every request, e.g. the name of a team. Default: none.",
				Validators:          []validator.String{tfkit.HeaderText()},
			},
		},
	}
}
