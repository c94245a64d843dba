// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"maps"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

const description = "What is live of a Worker: the version that answers its requests. There is one such resource per Worker.\n\n" +
	"State follows the live deployment, whoever made it. What somebody else deployed, for instance with `wrangler versions deploy`, shows as drift of " +
	"`active_versions`, and the next apply puts `version_id` back, unless that version is rejected. An apply that would replace a deployment that its plan has not seen stops and " +
	"says who made it and when; on a self-hosted plane the comparison and the deployment are one step, on Cloudflare's edge the comparison comes " +
	"just before.\n\n" +
	"With `rollout` a version goes live in steps, each behind gates, and goes back by itself when one fails. A version that failed a gate, or that somebody went " +
	"back from (with `wrangler rollback`, in the dashboard, by an action), is *rejected*: plans keep what is live and warn who, when and why, until the content changes or `retry_rejected` names it. " +
	"To roll back, set `rollback_to`, or `version_id` to an earlier version.\n\n" +
	"A secret that is set by `wrangler secret put` or in the dashboard makes a version of its own, which goes live at once: the plan then warns and " +
	"names the secrets, as far as the plane tells.\n\n" +
	"Each deployment records the run, workspace and commit it comes from, where HCP Terraform, GitHub Actions or GitLab CI say so.\n\n" +
	"Destroying this resource changes nothing on the plane: Cloudflare has no such operation. The Worker goes on serving until it is deleted.\n\n" +
	"Permission groups: `Workers Scripts Write` (`Workers Scripts Read` suffices for planning), and `Account Analytics Read` for metrics gates."

const timeoutDescription = "How long a rollout may take, e.g. `45m`; then it ends as `on_interrupt` says. Default: what its bake times and the patience of its gates add up to, " +
	"and two minutes for each deployment. Changed in place, without a request."

func timeoutsAttribute(ctx context.Context) schema.Attribute {
	made := timeouts.Attributes(ctx, timeouts.Opts{
		Create: true, Update: true, CreateDescription: timeoutDescription, UpdateDescription: timeoutDescription,
	})
	a, ok := made.(schema.SingleNestedAttribute)
	if !ok {
		return made
	}
	a.MarkdownDescription = "How long a rollout may take. Default: what its steps add up to. Changed in place, without a request."
	return a
}

func resourceSchema(ctx context.Context) schema.Schema {
	attributes := map[string]schema.Attribute{
		"rollout":  rolloutAttribute(),
		"timeouts": timeoutsAttribute(ctx),
		"worker": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Id or name of the Worker. A change to another Worker replaces this resource; one between id and name of the same " +
				"Worker changes the state only.",
			Validators: []validator.String{tfkit.WorkerName()},
		},
		"plane":                  tfkit.PlaneAttribute(),
		"residency":              tfkit.ResidencyAttribute(),
		"residency_acknowledged": tfkit.ResidencyAcknowledgedAttribute(),
		"version_id": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Id of the version that is to answer all requests. It must be a version of this Worker that the plane still offers for " +
				"deployment. Changed in place, by a new deployment.",
			Validators: []validator.String{VersionID()},
		},
		"message": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "What the next deployment is for; it stands in the history. A change of it alone plans nothing, so that a commit hash in " +
				"it does not make a change per commit; the next deployment takes it. " +
				"Default: none.",
			Validators: []validator.String{stringvalidator.LengthAtMost(600)},
		},
		"overwrite_unseen": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether to deploy even over a deployment that the plan has not seen or, at first, that Hybridge has not made. " +
				"Default: `false`. Changed in place, without a request.",
		},
		"allow_changed_secrets": schema.BoolAttribute{
			Optional: true,
			MarkdownDescription: "Whether to deploy a version that is older than a change of secrets, which a plane refuses otherwise (code 10220): it has the " +
				"secrets of its time, which may not be valid any more. To go back over a rotated secret with the secrets that are live, use `rollback_to` with `rollback_secrets = \"current\"` instead. Needed to undo a `wrangler secret put`. " +
				"Default: `false`. Changed in place, without a request.",
		},
		"account_id": tfkit.AccountAttribute(),
		"id": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Id of the live deployment. Changes with every deployment.",
		},
		"active_versions": schema.MapAttribute{
			Computed: true, ElementType: types.Float64Type,
			MarkdownDescription: "What is live: percentage of the requests, by version id.",
		},
		"created_on": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "When the live deployment was made, RFC 3339 in UTC.",
		},
		"author": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "E-mail address of whoever made the live deployment; null where the plane does not say.",
		},
		"source": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Kind of client that made the live deployment, e.g. `terraform`, `wrangler` or `api`.",
		},
	}
	maps.Copy(attributes, rollbackAttributes())
	return schema.Schema{MarkdownDescription: description, Attributes: attributes}
}

// VersionID accepts the id of a version.
func VersionID() validator.String {
	return stringvalidator.RegexMatches(regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
		"must be a version's id: a UUID in lower case, as the attribute id of hybridge_worker_version has it")
}
