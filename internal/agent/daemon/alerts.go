// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/alert"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/health"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/outbox"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// alerts tells what is wrong, once, and that it has ended. It is kept in the registry
// with what is to be told, so that a restart tells nothing twice and forgets nothing.
// Where there is neither a plane nor a webhook it is in memory and in the log only.
type alerts struct {
	log      hclog.Logger
	reg      *registry.Registry // nil: nothing is kept
	box      *outbox.Outbox
	troubles func(context.Context) ([]plane.Trouble, error) // nil without a plane
	machine  string
	region   string
	version  string

	tracker  *alert.Tracker
	standing []health.Alert
	before   []plane.Trouble // of the last look that could ask
	failure  string          // why the last look could not tell
	// ids are of alerts that the registry could not keep, and that were told without it.
	ids map[alert.Key]string
	// past are those of them that are over: they are kept, and their end told, as soon as
	// the registry answers.
	past map[alert.Key]alert.Problem

	// What belongs to it where there is no plane that has it.
	own bool
	ctx context.Context // until close
	end context.CancelFunc
	all sync.WaitGroup
}

// openAlerts opens what alerts are kept in: the plane's registry, or one of its own in the
// data directory of a machine that only tells.
func (d *Daemon) openAlerts(ctx context.Context, f *agentfile.File, delays map[string]alert.Delays) (_ *alerts, err error) {
	if delays == nil {
		delays = alert.DefaultDelays
	}
	a := &alerts{log: d.log.Named("alert"), region: f.Region, version: d.version, ids: map[alert.Key]string{}, past: map[alert.Key]alert.Problem{}}
	a.ctx, a.end = context.WithCancel(context.Background())
	if a.machine, err = os.Hostname(); err != nil {
		a.log.Warn("finding the name of this machine", "error", err)
	}
	switch {
	case d.agent != nil:
		p := d.agent.Plane()
		a.reg, a.box, a.troubles = d.agent.Registry(), p.Outbox(), p.Troubles
	case len(f.Alerts.Webhooks) > 0:
		if err := a.openOwn(ctx, f); err != nil {
			a.end()
			return nil, fmt.Errorf("preparing alerts, which are kept in data_dir: %w", err)
		}
	}
	var standing []registry.Alert
	if a.reg != nil {
		if standing, err = a.reg.Alerts(ctx); err != nil {
			return nil, fmt.Errorf("preparing alerts: %w", errors.Join(err, a.close()))
		}
	}
	var keys []alert.Key
	for _, s := range standing {
		keys = append(keys, alert.Key{Kind: s.Kind, Subject: s.Subject})
		a.standing = append(a.standing, shown(s))
	}
	a.tracker = alert.NewTracker(delays, keys, time.Now())
	return a, nil
}

func (a *alerts) openOwn(ctx context.Context, f *agentfile.File) error {
	receivers, err := webhooks(f)
	if err != nil {
		return err
	}
	if a.reg, err = registry.Open(ctx, f.DataDir); err != nil {
		return err
	}
	a.own = true
	a.box, err = outbox.New(outbox.Config{Registry: a.reg, Receivers: receivers, Log: a.log})
	if err == nil {
		err = a.box.Forget(ctx)
	}
	if err != nil {
		return errors.Join(err, a.reg.Close())
	}
	a.all.Go(func() { a.box.Run(a.ctx) })
	return nil
}

// close ends what is its own. No look may run any more.
func (a *alerts) close() error {
	a.end()
	a.all.Wait()
	if a.own {
		return a.reg.Close()
	}
	return nil
}

func shown(a registry.Alert) health.Alert {
	return health.Alert{ID: a.ID, Kind: a.Kind, Subject: a.Subject, Detail: a.Detail, RaisedOn: a.RaisedOn}
}

// look compares s with what has been told, tells the difference, and adds to s what stands.
func (a *alerts) look(ctx context.Context, s *health.Status) {
	raise, resolve := a.tracker.Look(time.Now(), a.problems(ctx, s))
	var failed error
	for k, p := range a.past {
		if slices.ContainsFunc(raise, func(p alert.Problem) bool { return p.Kind == k.Kind && p.Subject == k.Subject }) {
			continue // it goes on
		}
		if failed = a.raise(ctx, p); failed == nil {
			failed = a.resolve(ctx, k)
		}
		if failed != nil {
			break
		}
	}
	for _, p := range raise {
		// A registry that does not take one takes no other: waiting for each would hold the look up.
		if failed == nil {
			failed = a.raise(ctx, p)
		}
		if failed != nil && ctx.Err() == nil {
			a.tellOnce(p)
		}
	}
	for _, k := range resolve {
		if failed == nil {
			failed = a.resolve(ctx, k)
		}
	}
	s.Alerts = slices.Clone(a.standing)
	text := ""
	if failed != nil && ctx.Err() == nil {
		text = failed.Error()
	}
	if text != a.failure {
		if text != "" {
			a.log.Error("alerts could not be told yet; trying again", "error", failed)
		}
		a.failure = text
	}
}

// tellOnce tells of an alert that the registry cannot keep: that the database does not
// answer or the disk is full would be told when it is over. It is raised once more when
// the registry takes it, with the same id.
func (a *alerts) tellOnce(p alert.Problem) {
	k := alert.Key{Kind: p.Kind, Subject: p.Subject}
	if a.ids[k] != "" {
		return
	}
	a.ids[k], a.past[k] = uuid.NewString(), p
	of := registry.Alert{ID: a.ids[k], Kind: p.Kind, Subject: p.Subject, Detail: p.Detail, RaisedOn: time.Now().UTC()}
	body, err := a.body(of, nil)
	if err != nil {
		a.log.Error("telling of an alert", "error", err)
		return
	}
	a.log.Warn("raised", "kind", p.Kind, "subject", p.Subject, "detail", p.Detail)
	a.all.Go(func() {
		a.box.TellOnce(a.ctx, registry.Message{Topic: of.Topic(), ID: of.MessageID(false), Body: body, CreatedOn: of.RaisedOn})
	})
}

func (a *alerts) raise(ctx context.Context, p alert.Problem) error {
	made := registry.Alert{ID: a.ids[alert.Key{Kind: p.Kind, Subject: p.Subject}], Kind: p.Kind, Subject: p.Subject, Detail: p.Detail, RaisedOn: time.Now().UTC()}
	if a.reg != nil {
		var err error
		if made, err = a.reg.RaiseAlert(ctx, made, a.body, a.box.Receivers()); err != nil {
			return err
		}
		a.box.Wake()
	}
	delete(a.ids, alert.Key{Kind: p.Kind, Subject: p.Subject})
	delete(a.past, alert.Key{Kind: p.Kind, Subject: p.Subject})
	a.tracker.Raised(alert.Key{Kind: p.Kind, Subject: p.Subject})
	a.standing = append(a.standing, shown(made))
	a.log.Warn("raised", "kind", p.Kind, "subject", p.Subject, "detail", p.Detail)
	return nil
}

func (a *alerts) resolve(ctx context.Context, k alert.Key) error {
	if a.reg != nil {
		_, err := a.reg.ResolveAlert(ctx, k.Kind, k.Subject, a.body, a.box.Receivers())
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		a.box.Wake()
	}
	a.tracker.Resolved(k)
	a.standing = slices.DeleteFunc(a.standing, func(s health.Alert) bool { return s.Kind == k.Kind && s.Subject == k.Subject })
	a.log.Info("resolved", "kind", k.Kind, "subject", k.Subject)
	return nil
}

// toldAlert is what receivers are told.
type toldAlert struct {
	Type      string    `json:"type"` // "alert.raised" or "alert.resolved"
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Alert struct {
			health.Alert
			ResolvedOn *time.Time `json:"resolved_on,omitempty"`
		} `json:"alert"`
		Agent struct {
			Machine string `json:"machine"`
			Region  string `json:"region,omitempty"`
			Version string `json:"version"`
		} `json:"agent"`
	} `json:"data"`
}

func (a *alerts) body(of registry.Alert, resolved *time.Time) (json.RawMessage, error) {
	t := toldAlert{Type: "alert.raised", Timestamp: of.RaisedOn}
	if resolved != nil {
		t.Type, t.Timestamp = "alert.resolved", *resolved
	}
	t.Data.Alert.Alert, t.Data.Alert.ResolvedOn = shown(of), resolved
	t.Data.Agent.Machine, t.Data.Agent.Region, t.Data.Agent.Version = a.machine, a.region, a.version
	return json.Marshal(t)
}

// kindOfTrouble translates what a plane calls it.
var kindOfTrouble = map[string]string{
	plane.TroubleUnhealthy: alert.PlaneUnhealthy, plane.TroubleCrashLoop: alert.CrashLoop, plane.TroubleRollout: alert.RolloutFailed,
}

// problems are what is wrong now. None holds what a Worker or cloudflared has written.
func (a *alerts) problems(ctx context.Context, s *health.Status) (list []alert.Problem) {
	add := func(kind, subject, format string, args ...any) {
		list = append(list, alert.Problem{Kind: kind, Subject: subject, Detail: fmt.Sprintf(format, args...)})
	}
	answers := true
	for name, c := range s.Connectors {
		if c.State != "connected" {
			add(alert.ConnectorDown, name, "the connector %s is %s: the tunnel brings nothing to this machine through it; \"hybridge status\" there says more", name, c.State)
		}
	}
	for _, c := range s.Checks {
		file, certificate := strings.CutPrefix(c.Name, "certificate ")
		switch {
		case c.OK:
		case c.Name == "database":
			answers = false
			add(alert.PlaneUnhealthy, c.Name, "the plane's database does not answer")
		case c.Name == "disk" && s.Disk != nil:
			add(alert.DiskFilling, s.Disk.Path, "%s", c.Detail)
		case certificate:
			add(alert.CertificateExpiry, file, "%s", c.Detail)
		}
	}
	if a.troubles != nil {
		// While the database does not answer, what was wrong stays so.
		if answers {
			asking, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			if now, err := a.troubles(asking); err == nil {
				a.before = now
			}
		}
		for _, t := range a.before {
			add(kindOfTrouble[t.Kind], strings.TrimSpace(t.Worker+" "+t.Of), "Worker %s: %s", t.Worker, t.Message)
		}
	}
	slices.SortStableFunc(list, func(x, y alert.Problem) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Subject, y.Subject))
	})
	return list
}
