// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// ValidateConfig refuses a rollout that can never work. It asks nothing and opens no
// file. What is unknown yet is checked at plan.
func (r *deploymentResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if !m.rolloutKnown(ctx) {
		return
	}
	if c := m.rollout(ctx, &resp.Diagnostics); c != nil {
		c.check(ctx, &resp.Diagnostics)
	}
}

var rolloutPath = path.Root("rollout")

func gatePath(name, kind string) path.Path {
	return rolloutPath.AtName("gates").AtMapKey(name).AtName(kind)
}

// check looks at a rollout that is known as a whole.
func (c rolloutModel) check(ctx context.Context, diags *diag.Diagnostics) {
	gates, steps, final := c.gates(ctx, diags), c.steps(ctx, diags), texts(ctx, c.FinalGates, diags)
	if diags.HasError() {
		return
	}
	refuse := func(at path.Path, format string, args ...any) {
		diags.AddAttributeError(at, "Invalid rollout", fmt.Sprintf(format, args...))
	}
	used := map[string]bool{}
	use := func(at path.Path, names []string) {
		for i, name := range names {
			used[name] = true
			if _, ok := gates[name]; !ok {
				refuse(at.AtListIndex(i), "No gate is named %q. Gates: %s.", name, namesOr(gates))
			}
		}
	}
	stops := []float64{}
	for i, s := range steps {
		at := rolloutPath.AtName("steps").AtListIndex(i)
		percentage := s.Percentage.ValueFloat64()
		if i > 0 && percentage <= stops[i-1] {
			refuse(at.AtName("percentage"), "Steps go up: %g follows %g. Put them in order, and each percentage once.", percentage, stops[i-1])
		}
		stops = append(stops, percentage)
		named := texts(ctx, s.Gates, diags)
		use(at.AtName("gates"), named)
		for j, name := range named {
			if gates[name].Metrics != nil && percentage == 0 {
				diags.AddAttributeWarning(at.AtName("gates").AtListIndex(j), "Metrics of a step without traffic", fmt.Sprintf(
					"At 0 %% only probes reach the version, so the metrics gate %q will find too few requests: it ends as on_inconclusive says.", name))
			}
		}
	}
	use(rolloutPath.AtName("final_gates"), final)
	if !c.HoldAt.IsNull() && !slices.Contains(stops, c.HoldAt.ValueFloat64()) {
		refuse(rolloutPath.AtName("hold_at"), "hold_at = %g is no step. Use the percentage of one: %v.", c.HoldAt.ValueFloat64(), stops)
	}
	if len(gates) > 0 && len(used) == 0 {
		refuse(rolloutPath.AtName("gates"), "No step names any of these gates, and neither does final_gates, so every version would pass: %s. Name them there, or remove them. "+
			"Where they seem to be named: Terraform drops a member that an object does not have, e.g. setps or final_gate, without a word.", namesOr(gates))
	}
	for name, g := range gates {
		g.check(ctx, name, diags)
		if !used[name] && len(used) > 0 {
			diags.AddAttributeWarning(rolloutPath.AtName("gates").AtMapKey(name), "Gate is not used", fmt.Sprintf("No step names the gate %q, and neither does final_gates.", name))
		}
	}
}

func namesOr(gates map[string]gateModel) string {
	var names []string
	for name := range gates {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (g gateModel) check(ctx context.Context, name string, diags *diag.Diagnostics) {
	refuse := func(at path.Path, format string, args ...any) {
		diags.AddAttributeError(at, "Invalid gate", fmt.Sprintf("gates[%q]: ", name)+fmt.Sprintf(format, args...))
	}
	kinds := 0
	for _, set := range []bool{g.HTTP != nil, g.Metrics != nil, g.Webhook != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		refuse(rolloutPath.AtName("gates").AtMapKey(name), "it is of %d kinds. Set one of http, metrics and webhook.", kinds)
		return
	}
	before := diags.ErrorsCount()
	switch {
	case g.HTTP != nil:
		at := gatePath(name, "http")
		if !g.HTTP.URL.IsNull() && g.HTTP.VersionHeader.IsNull() {
			refuse(at.AtName("version_header"), "url needs version_header: a live URL serves every version, so an answer has to say which one it is from.")
		}
		for name := range g.HTTP.Headers.Elements() {
			if _, both := g.HTTP.HeadersWO.Elements()[name]; both {
				refuse(at.AtName("headers_wo"), "the header %s is in headers, too: keep one of them.", name)
			}
		}
	case g.Metrics != nil:
		if g.Metrics.MaxFailureRate.IsNull() && g.Metrics.MaxServerErrorRate.IsNull() && g.Metrics.MaxP99.IsNull() {
			refuse(gatePath(name, "metrics"), "it looks at nothing. Set max_failure_rate, max_server_error_rate or max_p99.")
		}
	case g.Webhook != nil:
		at := gatePath(name, "webhook")
		if s := g.Webhook.SigningSecret; s == nil || s.SopsFile.IsNull() == s.ValueWO.IsNull() {
			refuse(at.AtName("signing_secret"), "set sops_file with key, or value_wo.")
		} else if !s.ValueWO.IsNull() && !s.Key.IsNull() {
			refuse(at.AtName("signing_secret").AtName("key"), "key is a place in a SOPS file and means nothing for value_wo: remove it.")
		}
	}
	if diags.ErrorsCount() == before {
		g.judge(ctx, name, diags)
	}
}

// judge has a gate that is complete judged by the gate's own package: what its
// constructor would refuse at apply is refused before the plan.
func (g gateModel) judge(ctx context.Context, name string, diags *diag.Diagnostics) {
	switch {
	case g.HTTP != nil:
		c := g.HTTP.config(ctx)
		c.LiveURL = g.HTTP.URL.ValueString()
		g.refuse(gatePath(name, "http"), name, c.Check(), diags)
		g.refuse(gatePath(name, "http"), name, c.CheckCredentials(), diags)
	case g.Metrics != nil:
		g.refuse(gatePath(name, "metrics"), name, g.Metrics.config().Check(), diags)
	case g.Webhook != nil:
		c := g.Webhook.config()
		g.refuse(gatePath(name, "webhook"), name, c.Check(), diags)
		if value := g.Webhook.SigningSecret.ValueWO; !value.IsNull() {
			c.Secret = func() ([]byte, error) { return []byte(value.ValueString()), nil }
			g.refuse(gatePath(name, "webhook"), name, c.CheckCredentials(), diags)
		}
	}
}

// checkRollout looks at what only a plan can see: files, and what the plane is.
func (m model) checkRollout(ctx context.Context, data *tfkit.Data, p *tfkit.Plane, diags *diag.Diagnostics) {
	if !m.rolloutKnown(ctx) {
		return
	}
	c := m.rollout(ctx, diags)
	if c == nil {
		return
	}
	for name, g := range c.gates(ctx, diags) {
		if g.Metrics != nil && !g.Metrics.MaxServerErrorRate.IsNull() && p != nil && p.Client.IsEdge() {
			diags.AddAttributeError(gatePath(name, "metrics").AtName("max_server_error_rate"), "Not on Cloudflare", fmt.Sprintf(
				"gates[%q]: Cloudflare does not count status codes per version, so only self-hosted planes have max_server_error_rate. Use max_failure_rate there.", name))
		}
		if g.Webhook == nil || g.Webhook.SigningSecret == nil || g.Webhook.SigningSecret.SopsFile.IsNull() {
			continue
		}
		at := gatePath(name, "webhook").AtName("signing_secret")
		if err := scalarIn(data.Secrets, g.Webhook.SigningSecret); err != nil {
			if tfkit.AboutKey(err) {
				at = at.AtName("key")
			} else {
				at = at.AtName("sops_file")
			}
			diags.Append(tfkit.SealedFailed(at, err))
		}
	}
}

// checkPreviews refuses gates that would ask a preview URL of a Worker that this run plans
// without any: the apply would find that out with the new version uploaded.
func (m model) checkPreviews(ctx context.Context, data *tfkit.Data, p *tfkit.Plane, diags *diag.Diagnostics) {
	if p == nil || m.Worker.IsUnknown() || !m.rolloutKnown(ctx) || !data.PlannedWithoutPreviews(p.Name, m.Worker.ValueString()) {
		return
	}
	c := m.rollout(ctx, diags)
	if c == nil {
		return
	}
	used := texts(ctx, c.FinalGates, diags)
	for _, s := range c.steps(ctx, diags) {
		used = append(used, texts(ctx, s.Gates, diags)...)
	}
	for name, g := range c.gates(ctx, diags) {
		if g.HTTP != nil && g.HTTP.VersionHeader.IsNull() && slices.Contains(used, name) {
			diags.AddAttributeError(gatePath(name, "http"), "Invalid gate", fmt.Sprintf(
				"gates[%q]: it asks the version's preview URL, and versions of Worker %q on %s have none. Set subdomain = { previews_enabled = true } on the hybridge_worker, "+
					"or set version_header and let the Worker name its version.", name, p.WorkerName(m.Worker.ValueString()), p))
		}
	}
}

// scalarIn checks without a key that a file holds an encrypted value there.
func scalarIn(store *sealed.Store, s *signingSecretModel) error {
	key, err := sealed.ParsePath(s.Key.ValueString())
	if err != nil {
		return err
	}
	f, err := store.File(s.SopsFile.ValueString(), "")
	if err != nil {
		return err
	}
	return f.Scalar(key)
}
