// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

// pollPause is the time between two looks at a tunnel's connections: one request of
// the account's budget each.
const pollPause = 2 * time.Second

// rotator is what a rotation needs of a plane.
type rotator interface {
	RotateTunnelSecret(ctx context.Context, id string) error
	Connectors(ctx context.Context, id string) ([]cloudflare.Connector, error)
	DropConnections(ctx context.Context, id, connector string) error
	DeleteTunnel(ctx context.Context, id string) error
}

// pending is a rotation whose secret is set, and whose connectors are awaited. It is
// kept in private state, so that a run after a timeout does not rotate once more.
type pending struct {
	Trigger string   `json:"trigger"`
	Old     []string `json:"old"`  // ids of the connectors from before
	Wait    int      `json:"wait"` // how many of them had a connection that stood
}

const pendingKey = "rotation"

// wantsRotation reports whether the trigger changes from one text to another.
func wantsRotation(state, plan model) bool {
	return !state.RotationTrigger.IsNull() && !plan.RotationTrigger.IsNull() && !plan.RotationTrigger.Equal(state.RotationTrigger)
}

// privateState is what the framework gives of a resource's private state.
type privateState interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
}

// rotate rotates the secret, or goes on with a rotation that was begun, and reports
// whether it is done.
func (r *tunnelResource) rotate(ctx context.Context, p *tfkit.Plane, m model, private privateState, resp *resource.UpdateResponse) bool {
	limit, diags := m.Timeouts.Update(ctx, mustDuration(defaultRotation))
	resp.Diagnostics.Append(diags...)
	raw, diags := private.GetKey(ctx, pendingKey)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return false
	}
	id := m.ID.ValueString()
	var begun pending
	if len(raw) == 0 || json.Unmarshal(raw, &begun) != nil || begun.Trigger != m.RotationTrigger.ValueString() {
		old, wait, err := beginRotation(ctx, p.Client, id)
		if err != nil {
			resp.Diagnostics.Append(m.attempt("rotate the secret of", p).Failed(err))
			return false
		}
		begun = pending{m.RotationTrigger.ValueString(), old, wait}
		text, err := json.Marshal(begun)
		if err != nil {
			resp.Diagnostics.AddError("Cannot note the rotation", err.Error())
			return false
		}
		resp.Diagnostics.Append(resp.Private.SetKey(ctx, pendingKey, text)...)
	}
	if err := endRotation(ctx, p.Client, id, begun, limit, func(string, ...any) {}); err != nil {
		remedy := rotationRemedy
		if isDrop(err) {
			remedy = "the new secret is set, and its connectors stand. Run terraform apply again to end what is left of the old connections"
		}
		d := m.attempt("rotate the secret of", p).FailedBecause(err, remedy)
		resp.Diagnostics.AddAttributeError(path.Root("rotation_trigger"), d.Summary(), d.Detail())
		return false
	}
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, pendingKey, []byte(`{}`))...)
	return true
}

const rotationRemedy = "the new secret is set, and no connection was ended. See that every connector gets the new token (a hybridge agent does when its token file changes), then run terraform apply " +
	"again: it goes on waiting and does not rotate once more. timeouts.update sets how long"

// dropError says that old connections could not be ended.
type dropError struct{ error }

func (e *dropError) Unwrap() error { return e.error }

func isDrop(err error) bool {
	var d *dropError
	return errors.As(err, &d)
}

// beginRotation sets a new secret and returns the ids of the connectors that were there
// before, and how many of them had a connection that stood. Whoever comes later than that look has the new token, or a connection that no
// new one follows: old tokens are refused from then on.
func beginRotation(ctx context.Context, c rotator, id string) (old []string, wait int, err error) {
	before, err := c.Connectors(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	old = []string{}
	for _, connector := range before {
		old = append(old, connector.ID)
		if connected(connector) {
			wait++
		}
	}
	return old, wait, c.RotateTunnelSecret(ctx, id)
}

// endRotation waits for as many new connectors as there were old ones that stood, and then
// ends what is left of the old ones' connections. An error but a *dropError says that nothing
// was ended.
func endRotation(ctx context.Context, c rotator, id string, begun pending, limit time.Duration, say func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := -1
	for {
		now, err := c.Connectors(ctx, id)
		if err != nil && ctx.Err() == nil && !cloudflare.IsUncertain(err) {
			return err
		}
		if err == nil {
			fresh, left := 0, []string{}
			for _, connector := range now {
				switch {
				case slices.Contains(begun.Old, connector.ID):
					left = append(left, connector.ID)
				case connected(connector):
					fresh++
				}
			}
			if fresh != said {
				say("%d of %d connectors have come with the new token", fresh, begun.Wait)
				said = fresh
			}
			if fresh >= begun.Wait {
				for _, connector := range left {
					if err := c.DropConnections(ctx, id, connector); err != nil {
						return &dropError{err}
					}
				}
				return nil
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%d of %d connectors have come with the new token within %s", max(said, 0), begun.Wait, limit)
		}
	}
}

// connected reports whether a connector has a connection that stands.
func connected(c cloudflare.Connector) bool {
	return slices.ContainsFunc(c.Connections, func(n cloudflare.Connection) bool { return !n.PendingReconnect })
}

// stillConnected says that connectors do not go.
type stillConnected struct {
	connectors []cloudflare.Connector
	limit      time.Duration
}

func (e *stillConnected) Error() string {
	text := fmt.Sprintf("%d connectors are still there, or come back, after %s:", len(e.connectors), e.limit)
	for _, c := range e.connectors {
		text += fmt.Sprintf(" %s (%s, since %s)", c.ID, c.Version, c.RunAt.UTC().Format(time.RFC3339))
	}
	return text
}

// drain ends a tunnel's connections, waits until they are gone, and deletes it. A
// connector that comes back in between is ended again.
func drain(ctx context.Context, c rotator, id string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		there, err := c.Connectors(ctx, id)
		if cloudflare.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(there) > 0 {
			if err := c.DropConnections(ctx, id, ""); err != nil {
				return err
			}
			if there, err = c.Connectors(ctx, id); err != nil {
				return err
			}
		}
		if len(there) == 0 {
			if err := c.DeleteTunnel(ctx, id); !cloudflare.IsTunnelConnected(err) {
				return err
			}
		}
		if pause(ctx) != nil {
			if there, err = c.Connectors(context.WithoutCancel(ctx), id); err != nil {
				return err
			}
			return &stillConnected{there, limit}
		}
	}
}

func drainRemedy(err error) string {
	var still *stillConnected
	if !errors.As(err, &still) {
		return ""
	}
	return "stop cloudflared where it runs with this tunnel's token, then destroy again; timeouts.delete sets how long to wait"
}

func pause(ctx context.Context) error {
	t := time.NewTimer(pollPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mustDuration is for the constants above.
func mustDuration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}
