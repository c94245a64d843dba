// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

var (
	_ action.Action              = (*rollbackAction)(nil)
	_ action.ActionWithConfigure = (*rollbackAction)(nil)
	_ action.Action              = (*promoteAction)(nil)
	_ action.ActionWithConfigure = (*promoteAction)(nil)
)

// actionModel is the configuration of both actions.
type actionModel struct {
	Worker       types.String `tfsdk:"worker"`
	Plane        types.String `tfsdk:"plane"`
	AllowChanged types.Bool   `tfsdk:"allow_changed_secrets"`
	Message      types.String `tfsdk:"message"`
}

func (m actionModel) attempt(verb string, p *tfkit.Plane) tfkit.Attempt {
	return tfkit.Attempt{Verb: verb, Kind: "Worker", Name: m.Worker.ValueString(), Plane: p}
}

func actionAttributes(more map[string]schema.Attribute) map[string]schema.Attribute {
	attributes := map[string]schema.Attribute{
		"worker": schema.StringAttribute{
			Required: true, MarkdownDescription: "Id or name of the Worker.", Validators: []validator.String{tfkit.WorkerName()},
		},
		"plane": tfkit.ActionPlaneAttribute(),
		"allow_changed_secrets": schema.BoolAttribute{
			Optional: true, MarkdownDescription: "Whether to deploy a version that is older than a change of secrets, which a plane refuses otherwise (code 10220). Default: `false`.",
		},
		"message": schema.StringAttribute{
			Optional: true, MarkdownDescription: "What the deployment is for; it stands in the history. Default: none.",
			Validators: []validator.String{stringvalidator.LengthAtMost(600)},
		},
	}
	for name, a := range more {
		attributes[name] = a
	}
	return attributes
}

// change is what an action deploys.
type change struct {
	version string
	rejects string // the version that is gone back from; empty for a promotion
	done    string // why there is nothing to do; empty if there is
	problem string // why it cannot be done; empty if it can
}

// act deploys what choose finds in the history, over exactly what that shows as live.
func act(ctx context.Context, data *tfkit.Data, getenv func(string) string, m actionModel, resp *action.InvokeResponse, verb string, choose func(cloudflare.History) change) {
	p := data.Plane(m.Plane, &resp.Diagnostics)
	if p == nil {
		return
	}
	say, done := tfkit.Progress(ctx, resp)
	defer done()
	worker := m.Worker.ValueString()
	say("reading what Worker %q on %s has served", worker, p)
	history, err := p.Client.History(ctx, worker)
	if err != nil {
		resp.Diagnostics.Append(m.attempt(verb, p).Failed(err))
		return
	}
	c := choose(history)
	switch {
	case c.problem != "":
		resp.Diagnostics.AddError("Cannot "+verb+" Worker", fmt.Sprintf("Worker %q on %s: %s", worker, p, c.problem))
		return
	case c.done != "":
		say("%s", c.done)
		return
	}
	say("deploying version %s at 100 %%", c.version)
	live := history.Live()
	d, err := p.Client.CreateDeployment(ctx, worker, cloudflare.DeploymentInput{
		Versions: []cloudflare.Share{{VersionID: c.version, Percentage: 100}},
		Message:  m.Message.ValueString(), Run: cloudflare.RunFromEnvironment(getenv), Force: m.AllowChanged.ValueBool(),
		Rollout: cloudflare.RolloutMark{Rejects: c.rejects}, Check: exactly(live.ID), Expect: live.ID,
	})
	if err != nil {
		remedy := ""
		if cloudflare.IsSecretsChanged(err) {
			remedy = "the version is older than a change of secrets, and has the secrets of its time: set allow_changed_secrets = true if these are still valid. With today's secrets, only rollback_to of hybridge_worker_deployment goes back, with rollback_secrets = \"current\""
		}
		resp.Diagnostics.Append(m.attempt(verb, p).FailedBecause(err, remedy))
		return
	}
	say("deployment %s is live: version %s serves everything", d.ID, c.version)
}

// NewRollbackAction makes the action hybridge_worker_rollback. getenv, os.Getenv outside
// tests, tells where the run is.
func NewRollbackAction(getenv func(string) string) func() action.Action {
	return func() action.Action { return &rollbackAction{getenv: getenv} }
}

type rollbackAction struct {
	tfkit.Action
	getenv func(string) string
}

func (a *rollbackAction) Metadata(_ context.Context, _ action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = "hybridge_worker_rollback"
}

func (a *rollbackAction) Schema(_ context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Takes a Worker back to an earlier version, at once and without upload. The version that was live is rejected: a hybridge_worker_deployment does not deploy it again unasked. " +
			"Needs Terraform 1.14; `rollback_to` of hybridge_worker_deployment does it with any.\n\nPermission groups: `Workers Scripts Write`.",
		Attributes: actionAttributes(map[string]schema.Attribute{
			"to": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "What to go back to: `previous`, a version's id or tag, or a commit or run id of a release, as `rollback_to` of hybridge_worker_deployment has it. Default: `previous`.",
				Validators:          []validator.String{stringvalidator.LengthBetween(1, 200)},
			},
		}),
	}
}

func (a *rollbackAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m struct {
		actionModel
		To types.String `tfsdk:"to"`
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || a.Data == nil {
		return
	}
	to := m.To.ValueString()
	if to == "" {
		to = previousKeyword
	}
	act(ctx, a.Data, a.getenv, m.actionModel, resp, "roll back", func(h cloudflare.History) change {
		version, _, problem := resolve(h, to)
		if problem != "" {
			return change{problem: problem}
		}
		if h.Live().Sole() == version {
			return change{done: fmt.Sprintf("version %s serves everything already", version)}
		}
		return change{version: version, rejects: newest(h, version)}
	})
}

// NewPromoteAction makes the action hybridge_worker_promote.
func NewPromoteAction(getenv func(string) string) func() action.Action {
	return func() action.Action { return &promoteAction{getenv: getenv} }
}

type promoteAction struct {
	tfkit.Action
	getenv func(string) string
}

func (a *promoteAction) Metadata(_ context.Context, _ action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = "hybridge_worker_promote"
}

func (a *promoteAction) Schema(_ context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Lets the newer one of two live versions serve everything: the end of a canary that `hold_at` has left, without further gates. " +
			"Needs Terraform 1.14; removing `hold_at` goes on with the gates of the remaining steps, with any.\n\nPermission groups: `Workers Scripts Write`.",
		Attributes: actionAttributes(nil),
	}
}

func (a *promoteAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m actionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || a.Data == nil {
		return
	}
	act(ctx, a.Data, a.getenv, m, resp, "promote", func(h cloudflare.History) change {
		live := h.Live()
		switch {
		case live == nil:
			return change{problem: "it has no deployment. Deploy a version first."}
		case live.Sole() != "":
			return change{done: fmt.Sprintf("version %s serves everything already", live.Sole())}
		}
		version := newest(h, "")
		if version == "" {
			return change{problem: "which of the live versions is the newer one cannot be told. Deploy by version_id."}
		}
		return change{version: version}
	})
}

// newest is the newest live version that is not except; empty if the history does not
// tell.
func newest(h cloudflare.History, except string) string {
	for _, v := range h.Versions { // newest first
		if v.ID != except && h.Live().Serves(v.ID) {
			return v.ID
		}
	}
	return ""
}
