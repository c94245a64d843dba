// SPDX-License-Identifier: MPL-2.0

package deployment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/gate"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// httpConfig is what a user has written of an HTTP gate.
func (h httpModel) config(ctx context.Context) gate.HTTPConfig {
	c := gate.HTTPConfig{
		Path: h.Path.ValueString(), Method: h.Method.ValueString(), BodyContains: h.BodyContains.ValueString(), MaxLatency: durationOf(h.MaxLatency),
		Every: durationOf(h.Every), Failures: int(h.Failures.ValueInt64()), Timeout: durationOf(h.Timeout), Patience: durationOf(h.Patience),
		VersionHeader: h.VersionHeader.ValueString(), Headers: map[string]func() (string, error){},
	}
	var codes []int64
	h.Status.ElementsAs(ctx, &codes, false) // its elements are numbers by its schema
	for _, code := range codes {
		c.Status = append(c.Status, int(code))
	}
	for _, headers := range []types.Map{h.Headers, h.HeadersWO} {
		for name, element := range headers.Elements() {
			if value, ok := element.(types.String); ok {
				c.Headers[name] = func() (string, error) { return value.ValueString(), nil }
			}
		}
	}
	return c
}

func (m metricsModel) config() gate.MetricsConfig {
	return gate.MetricsConfig{
		MaxFailureRate: m.MaxFailureRate.ValueFloat64Pointer(), MaxServerErrorRate: m.MaxServerErrorRate.ValueFloat64Pointer(), MaxP99: durationOf(m.MaxP99),
		MinRequests: int(m.MinRequests.ValueInt64()), OnInconclusive: m.OnInconclusive.ValueString(), Settle: durationOf(m.Settle),
	}
}

func (w webhookModel) config() gate.WebhookConfig {
	return gate.WebhookConfig{URL: w.URL.ValueString(), Timeout: durationOf(w.Timeout)}
}

// gates makes the gates of a rollout: what the user has written, with what only the
// plane and the versions tell. d names the rollout.
func (r *release) gates(ctx context.Context, c rolloutModel, d *driver, h cloudflare.History) map[string]rollout.Gate {
	configured := c.gates(ctx, r.diags)
	secret := map[string]gateModel{} // write-only values are in the configuration alone
	if written := r.config.rollout(ctx, r.diags); written != nil {
		secret = written.gates(ctx, r.diags)
	}
	if r.diags.HasError() {
		return nil
	}
	used := append([]string{}, d.plan.FinalGates...)
	for _, s := range d.plan.Steps {
		used = append(used, s.Gates...)
	}
	out := map[string]rollout.Gate{}
	for _, name := range used {
		if out[name] != nil {
			continue
		}
		if g := r.gate(ctx, name, configured[name], secret[name], d, h); g != nil {
			out[name] = g
		}
	}
	return out
}

// gate makes one gate; nil after it has added an error.
func (r *release) gate(ctx context.Context, name string, g, secret gateModel, d *driver, h cloudflare.History) rollout.Gate {
	clock := rollout.SystemClock{}
	switch {
	case g.HTTP != nil:
		if secret.HTTP != nil {
			g.HTTP.HeadersWO = secret.HTTP.HeadersWO
		}
		config := g.HTTP.config(ctx)
		if !r.findURL(ctx, name, &config, *g.HTTP, d.plan.Target) {
			return nil
		}
		made, err := gate.NewHTTP(config, clock)
		if err == nil {
			err = config.CheckCredentials()
		}
		if err == nil {
			return made
		}
		g.refuse(gatePath(name, "http"), name, err, r.diags)
	case g.Metrics != nil:
		config := g.Metrics.config()
		if r.first && config.OnInconclusive == "" { // nothing was live, so nobody can have come
			config.OnInconclusive, r.lenient[name] = gate.InconclusivePasses, true
		}
		worker, err := r.plane.Client.WorkerRef(ctx, r.plan.Worker.ValueString())
		if err != nil {
			r.diags.Append(r.plan.attempt("prepare the gates of the", r.plane).Failed(err))
			return nil
		}
		plane, err := r.plane.Client.Plane(ctx)
		if err != nil { // as a plane of the other kind it would count otherwise
			r.diags.Append(r.plan.attempt("prepare the gates of the", r.plane).Failed(err))
			return nil
		}
		config.SelfHosted = plane.Kind == cloudflare.SelfHostedPlane
		config.Querier, config.AccountID, config.WorkerName = r.plane.Client, r.plane.AccountID, worker.Name
		made, err := gate.NewMetrics(config, clock)
		if err == nil {
			return made
		}
		g.refuse(gatePath(name, "metrics"), name, err, r.diags)
	case g.Webhook != nil:
		config := g.Webhook.config()
		config.Name, config.Subject = name, r.subject(d, h)
		config.Secret = r.signingSecret(ctx, name, g.Webhook.SigningSecret, secret.Webhook)
		if config.Secret == nil {
			return nil
		}
		made, err := gate.NewWebhook(config, clock)
		if err == nil {
			err = config.CheckCredentials()
		}
		if err == nil {
			return made
		}
		g.refuse(gatePath(name, "webhook"), name, err, r.diags)
	}
	return nil
}

// refuse says what is wrong with a gate, if anything is, at the attribute where it is.
func (g gateModel) refuse(at path.Path, name string, err error, diags *diag.Diagnostics) {
	if err == nil {
		return
	}
	var problems gate.Problems
	if !errors.As(err, &problems) {
		diags.AddAttributeError(at, "Invalid gate", fmt.Sprintf("gates[%q]: %s", name, tfkit.Sentence(err.Error())))
		return
	}
	for _, p := range problems {
		attribute, member, _ := strings.Cut(p.Attribute, "[")
		header, err := strconv.Unquote(strings.TrimSuffix(member, "]"))
		if err == nil && g.HTTP != nil && g.HTTP.HeadersWO.Elements()[header] != nil {
			attribute, p.Attribute = "headers_wo", strings.Replace(p.Attribute, "headers", "headers_wo", 1)
		}
		diags.AddAttributeError(at.AtName(attribute), "Invalid gate", fmt.Sprintf("gates[%q]: %s %s.", name, p.Attribute, p.Message))
	}
}

// findURL sets where an HTTP gate asks: the live URL with version_header, else the
// version's preview URL.
func (r *release) findURL(ctx context.Context, name string, c *gate.HTTPConfig, h httpModel, target string) bool {
	worker, err := r.plane.Client.Worker(ctx, r.plan.Worker.ValueString())
	if err != nil {
		r.diags.Append(r.plan.attempt("prepare the gates of the", r.plane).Failed(err))
		return false
	}
	c.WorkerName = worker.Name
	if c.VersionHeader != "" {
		if c.LiveURL = h.URL.ValueString(); c.LiveURL == "" && worker.Subdomain.Enabled {
			c.LiveURL = worker.Subdomain.URL
		}
		if c.LiveURL == "" {
			r.diags.AddAttributeError(gatePath(name, "http").AtName("url"), "Invalid gate", fmt.Sprintf(
				"gates[%q]: Worker %q on %s answers at no URL of its own: set url, or enable its subdomain.", name, worker.Name, r.plane))
		}
		return c.LiveURL != ""
	}
	version, err := r.plane.Client.Version(ctx, worker.ID, target)
	if err != nil {
		r.diags.Append(r.plan.attempt("prepare the gates of the", r.plane).Failed(err))
		return false
	}
	if c.PreviewURL = version.PreviewURL(); c.PreviewURL == "" {
		r.diags.AddAttributeError(gatePath(name, "http"), "Invalid gate", fmt.Sprintf(
			"gates[%q]: version %s of Worker %q on %s has no preview URL. Enable previews of the hybridge_worker, so that the next version has one, "+
				"or set version_header and let the Worker name its version.", name, target, worker.Name, r.plane))
	}
	return c.PreviewURL != ""
}

// signingSecret opens the secret of a webhook; nil after it has added an error. The
// value is opened before the first step, so that a rollout does not fail in its midst
// for want of a key.
func (r *release) signingSecret(ctx context.Context, name string, s *signingSecretModel, written *webhookModel) func() ([]byte, error) {
	at := gatePath(name, "webhook").AtName("signing_secret")
	if s == nil {
		return nil
	}
	var value sealed.Secret
	if s.SopsFile.IsNull() {
		if written == nil || written.SigningSecret == nil || written.SigningSecret.ValueWO.ValueString() == "" {
			r.diags.AddAttributeError(at.AtName("value_wo"), "Invalid gate", fmt.Sprintf("gates[%q]: the signing secret is empty.", name))
			return nil
		}
		value = sealed.NewSecret(written.SigningSecret.ValueWO.ValueString())
	} else {
		key, err := sealed.ParsePath(s.Key.ValueString())
		if err == nil {
			value, err = r.resource.Data.Secrets.Secret(ctx, s.SopsFile.ValueString(), "", key)
		}
		if err != nil {
			r.diags.Append(tfkit.SealedFailed(at, err))
			return nil
		}
	}
	r.plane.Client.Withhold(value.Reveal())
	return func() ([]byte, error) { return []byte(value.Reveal()), nil }
}

// subject describes the rollout to a webhook.
func (r *release) subject(d *driver, h cloudflare.History) gate.Subject {
	run := cloudflare.RunFromEnvironment(r.resource.getenv)
	s := gate.Subject{
		RolloutID: d.id, Worker: r.plan.Worker.ValueString(), Plane: r.plane.Name,
		Target: versionOf(h, d.plan.Target), Run: gate.Run{ID: run.ID, Workspace: run.Workspace, Commit: run.Commit},
	}
	if d.plan.Previous != "" {
		previous := versionOf(h, d.plan.Previous)
		s.Previous = &previous
	}
	return s
}

func versionOf(h cloudflare.History, id string) gate.Version {
	v := gate.Version{ID: id}
	if known := h.Version(id); known != nil {
		v.Marker = known.Marker()
	}
	return v
}
