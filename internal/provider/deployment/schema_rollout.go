// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"fmt"
	"regexp"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework-validators/float64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/gate"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// defaultKeepVersions are what a team looks back on; a tenth of what can be deployed.
const defaultKeepVersions = 10

func rolloutAttribute() schema.SingleNestedAttribute {
	duration := func(text string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, MarkdownDescription: text, Validators: []validator.String{tfkit.Duration()}}
	}
	policy := func(text string) schema.StringAttribute {
		return schema.StringAttribute{
			Optional: true, MarkdownDescription: text + " Default: `rollback`.",
			Validators: []validator.String{stringvalidator.OneOf("rollback", "hold")},
		}
	}
	gates := func(text string) schema.ListAttribute {
		return schema.ListAttribute{
			Optional: true, ElementType: types.StringType, MarkdownDescription: text,
			Validators: []validator.List{listvalidator.UniqueValues()},
		}
	}
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "The way from the live version to `version_id`, in steps. A change of anything in it alone changes the state, and no more; the next rollout takes it. " +
			"The first deployment of a Worker has nothing to split with: it serves everything, and all gates follow. Default: none, so that a version serves everything at once.",
		Attributes: map[string]schema.Attribute{
			"steps": schema.ListNestedAttribute{
				Optional:            true,
				MarkdownDescription: "The steps, by rising `percentage`. 100 is implied as the last one. Default: none, so that the version serves everything at once, and `final_gates` judge it.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"percentage": schema.Float64Attribute{
						Required:            true,
						MarkdownDescription: "Part of the requests that the new version gets, in percent: 0 to below 100. With 0 only the probes of gates reach it.",
						Validators:          []validator.Float64{float64validator.Between(0, 99.999)},
					},
					"bake_time": duration("How long the step lasts at least while its gates watch, e.g. `30s` or `5m`. Default: none, so it lasts as long as its gates need."),
					"gates":     gates("Names of the gates in `gates` that must pass. Default: none."),
				}},
			},
			"gates": schema.MapNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Gates by name. Each is of one kind: `http`, `metrics` or `webhook`. Default: none.",
				Validators: []validator.Map{
					mapvalidator.KeysAre(stringvalidator.LengthBetween(1, 40)), tfkit.NoNulls{},
				},
				NestedObject: schema.NestedAttributeObject{Attributes: gateAttributes(duration)},
			},
			"final_bake_time": duration("How long the gates in `final_gates` watch after the version serves everything. Default: none."),
			"final_gates":     gates("Names of the gates that judge the version when it serves everything. Default: none."),
			"hold_at": schema.Float64Attribute{
				Optional:            true,
				MarkdownDescription: "Percentage of a step after which the rollout stops and stays, a canary held by hand. Without it, or with that of a later step, the next apply goes on from there. Default: none.",
			},
			"on_failure": policy("What follows a gate that fails: `rollback` puts the previous deployment back, also over a change of secrets; `hold` leaves what is live. " +
				"The apply fails in both cases."),
			"on_interrupt": policy("What follows an interrupted apply (Ctrl-C, a cancelled run), within 10 seconds; a self-hosted plane does it by itself when nothing has been heard for 15 seconds. " +
				"On Cloudflare nobody does after `kill -9`: the next apply goes on from what is live."),
			"on_return": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How a version comes back that was healthy at 100 % before, e.g. after a `git revert`: `fast` keeps the gates of a first step at 0 % and skips the rest; " +
					"`full` takes every step. Default: `fast`.",
				Validators: []validator.String{stringvalidator.OneOf("fast", "full")},
			},
		},
	}
}

// rolloutType are the types of rollout's attributes.
var rolloutType = sync.OnceValue(func() map[string]attr.Type {
	object, _ := rolloutAttribute().GetType().(attr.TypeWithAttributeTypes)
	return object.AttributeTypes()
})

func gateAttributes(duration func(string) schema.StringAttribute) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"http": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "Asks the new version itself, over and over. An answer counts only if it proves its version: it came from the version's preview URL, or, with `version_header`, " +
				"it names the version. None that does in time fails the gate. Redirects are not followed, and a random query parameter `hybridge-probe` keeps caches out.",
			Attributes: map[string]schema.Attribute{
				"path":   schema.StringAttribute{Required: true, MarkdownDescription: "Path, e.g. `/healthz`, with a query if need be.", Validators: []validator.String{tfkit.URLPath()}},
				"method": schema.StringAttribute{Optional: true, MarkdownDescription: "`GET` or `HEAD`. Default: `GET`.", Validators: []validator.String{stringvalidator.OneOf("GET", "HEAD")}},
				"url": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "Where the Worker answers, e.g. `https://shop.example.com`, if not on its `workers.dev` name. Needs `version_header`. Default: with `version_header` the Worker's URL, else the version's preview URL.",
					Validators:          []validator.String{tfkit.ServerURL()},
				},
				"version_header": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "Response header in which the Worker names its version, from a `version_metadata` binding. With it the gate asks the live URL, and chooses the version with `Cloudflare-Workers-Version-Overrides`. Default: none.",
					Validators:          []validator.String{tfkit.HeaderName()},
				},
				"status": schema.SetAttribute{
					Optional: true, ElementType: types.Int64Type,
					MarkdownDescription: "Status codes that are good. Default: `[200]`.",
				},
				"body_contains": schema.StringAttribute{Optional: true, MarkdownDescription: "Text that the first 64 KiB of the body must contain. Default: any body."},
				"max_latency":   duration("Slowest good answer, to its last byte. Default: any within `timeout`."),
				"timeout":       duration(fmt.Sprintf("Longest wait for one answer; none by then is a failure. Default: `%s`.", gate.DefaultProbeTimeout)),
				"every":         duration(fmt.Sprintf("Time between two probes. Default: `%s`.", gate.DefaultProbeEvery)),
				"failures": schema.Int64Attribute{
					Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)},
					MarkdownDescription: fmt.Sprintf("How many failures in a row fail the gate. Default: `%d`.", gate.DefaultProbeFailures),
				},
				"patience": duration(fmt.Sprintf("How long after the bake time the first answer that proves its version may still take. Default: `%s`.", gate.DefaultProbePatience)),
				"headers": schema.MapAttribute{
					Optional: true, ElementType: types.StringType,
					MarkdownDescription: "Headers of each probe, by name. They stand in the state: credentials belong in `headers_wo`. Default: none.",
					Validators:          []validator.Map{mapvalidator.KeysAre(tfkit.HeaderName())},
				},
				"headers_wo": schema.MapAttribute{
					Optional: true, WriteOnly: true, ElementType: types.StringType,
					MarkdownDescription: "Headers of each probe that are secret, by name. Write-only: in no plan and no state. Default: none.",
					Validators:          []validator.Map{mapvalidator.KeysAre(tfkit.HeaderName())},
				},
			},
		},
		"metrics": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: "Looks at how the invocations of the new version end, as the plane counts them. A self-hosted plane counts as it answers; Cloudflare samples and lags by minutes.",
			Attributes: map[string]schema.Attribute{
				"max_failure_rate": schema.Float64Attribute{
					Optional: true, Validators: []validator.Float64{float64validator.Between(0, 1)},
					MarkdownDescription: "Largest part of invocations that may fail (exceptions, exceeded limits, internal errors), 0 to 1. An answer with status 500 on purpose is no failed invocation. Default: not looked at.",
				},
				"max_server_error_rate": schema.Float64Attribute{
					Optional: true, Validators: []validator.Float64{float64validator.Between(0, 1)},
					MarkdownDescription: "Largest part of answers that may have a status of 500 or above, 0 to 1. Self-hosted planes only. Default: not looked at.",
				},
				"max_p99": duration("Largest 99th percentile of the wall time of invocations. Default: not looked at."),
				"min_requests": schema.Int64Attribute{
					Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)},
					MarkdownDescription: fmt.Sprintf("Fewer requests than this tell nothing. Default: `%d`.", gate.DefaultMinRequests),
				},
				"on_inconclusive": schema.StringAttribute{
					Optional: true, Validators: []validator.String{stringvalidator.OneOf("fail", "pass")},
					MarkdownDescription: "What too few requests, or no metrics, mean at the end of the step: `fail` or `pass`. Default: `fail`, but `pass` with a warning for the first version of a Worker, which nobody can have visited.",
				},
				"settle": duration(fmt.Sprintf("How long to wait for the metrics of a step after its bake time. Default: `%s` on Cloudflare, `%s` on a self-hosted plane.", gate.DefaultEdgeSettle, gate.DefaultPlaneSettle)),
			},
		},
		"webhook": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "Asks a service for its verdict after the bake time and the other gates: a CI job, a person, a policy engine. It gets a signed description of the rollout " +
				"([Standard Webhooks](https://www.standardwebhooks.com)) and answers `{\"verdict\": \"pass\" | \"fail\" | \"wait\", \"reason\": \"...\"}`; `wait` is asked again.",
			Attributes: map[string]schema.Attribute{
				"url": schema.StringAttribute{
					Required: true, Validators: []validator.String{tfkit.ServerURL()},
					MarkdownDescription: "Where to ask: `https`, or `http` on this machine. Redirects are not followed.",
				},
				"signing_secret": schema.SingleNestedAttribute{
					Required:            true,
					MarkdownDescription: "The key of the signature, as text or in the form `whsec_...`. It is in no plan and no state. Either `sops_file` with `key`, or `value_wo`.",
					Attributes: map[string]schema.Attribute{
						"sops_file": schema.StringAttribute{Optional: true, MarkdownDescription: "Path of a SOPS file that holds it."},
						"key":       schema.StringAttribute{Optional: true, MarkdownDescription: "Where in the file it is.", Validators: []validator.String{tfkit.KeyPath()}},
						"value_wo":  schema.StringAttribute{Optional: true, WriteOnly: true, MarkdownDescription: "The key itself, from any ephemeral source. Write-only."},
					},
				},
				"timeout": duration(fmt.Sprintf("How long to ask again while the answer is `wait` or none comes. Then the gate fails. Default: `%s`.", gate.DefaultWebhookTimeout)),
			},
		},
	}
}

func rollbackAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"rollback_to": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "What to go back to, whatever `version_id` says: `previous` (the last version before the live one that was healthy at 100 %), a version's id, a version's tag, " +
				"or a commit or run id of a release. It is resolved when its value changes, and pinned in `rollback_version_id`. The version serves everything at once, without upload and gates. " +
				"Removing it goes forward to `version_id` again. Default: none. Changed in place.",
			Validators: []validator.String{stringvalidator.LengthBetween(1, 200)},
		},
		"rollback_version_id": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Id of the version that `rollback_to` has been resolved to; null without it.",
		},
		"rollback_secrets": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Which secrets a rollback has: `version`, those that the older version was made with, or `current`, those that are live. `current` makes a new version of the old code, " +
				"whose secrets the plane copies; no value passes through Terraform. With `version`, a plan over a change of secrets is refused where the versions tell of it, unless `allow_changed_secrets` is set. Default: `version`. Changed in place; it takes effect with the next `rollback_to`.",
			Validators: []validator.String{stringvalidator.OneOf("version", "current")},
		},
		"retry_rejected": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Id of a rejected version that may be tried once more. A version that failed a gate, or that somebody went back from, is rejected: it is not deployed again until its " +
				"content changes or this names it. One that stayed live, because it is the Worker's first or by `on_failure`, is judged again where it is. Default: none. Changed in place.",
			Validators: []validator.String{VersionID()},
		},
		"on_rejected": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "What a plan does that wants a rejected version: `warn` keeps what is live and goes on, so that a pipeline that nobody watches stays green with the old code; " +
				"`fail` is an error, so that it stays red until the content changes, `retry_rejected` names the version, or `rollback_to` says that the old one is meant. Default: `warn`. Changed in place, without a request.",
			Validators: []validator.String{stringvalidator.OneOf("warn", "fail")},
		},
		"burned_secrets": schema.SetAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Digests of secrets that have leaked, as `secret_digests` of hybridge_worker_version has them. No version that declares one of them is deployed, neither by `version_id` nor by `rollback_to`, " +
				"and a rollout that would have to go back to one holds instead. Default: none. Changed in place, without a request.",
			Validators: []validator.Set{setvalidator.ValueStringsAre(stringvalidator.RegexMatches(regexp.MustCompile(`^[0-9a-f]{64}$`), "must be a SHA-256 in hex"))},
		},
		"keep_versions": schema.Int64Attribute{
			Optional: true,
			MarkdownDescription: fmt.Sprintf("How many releases of this Worker to keep: after a success, versions of older ones are deleted, as far as the history of deployments still shows them, "+
				"but never one that is live, that `rollback_to` names, that was never released (a preview), or that somebody else has made or released. `0` keeps all. Default: `%d`. Changed in place.", defaultKeepVersions),
			Validators: []validator.Int64{int64validator.AtLeast(0)},
		},
	}
}
