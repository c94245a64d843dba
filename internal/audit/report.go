// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"slices"
	"strings"
	"time"
)

// OutcomeUnfinished: an intent has no result. Whoever made the change ended in between.
const OutcomeUnfinished = "unfinished"

// Change is a line of a report: what was changed, in which run, by whom, and how it ended.
type Change struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id"` // of the intent
	Plane     string    `json:"plane"`
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	Action    string    `json:"action"`
	Before    string    `json:"before"`
	After     string    `json:"after"`
	Outcome   string    `json:"outcome"`
	RunSystem string    `json:"run_system"`
	Run       string    `json:"run"`
	Workspace string    `json:"workspace"`
	Commit    string    `json:"commit"`
	Actor     string    `json:"actor"`    // a token, or the id of an API token
	Approver  string    `json:"approver"` // a token
	Gates     []string  `json:"gates"`    // name and passed or failed
	Rollback  string    `json:"rollback"` // the version that it went back to
}

// ChangeColumns are the names of Row's fields.
var ChangeColumns = []string{"time", "id", "plane", "kind", "name", "action", "before", "after", "outcome",
	"run_system", "run", "workspace", "commit", "actor", "approver", "gates", "rollback"}

// Row is a change for a table.
func (c Change) Row() []string {
	return []string{c.Time.UTC().Format(time.RFC3339), c.ID, c.Plane, c.Kind, c.Name, c.Action, c.Before, c.After, c.Outcome,
		c.RunSystem, c.Run, c.Workspace, c.Commit, c.Actor, c.Approver, strings.Join(c.Gates, " "), c.Rollback}
}

// Report gathers changes from entries that are added in their order.
type Report struct {
	From, To time.Time // of intents; zero is unbounded, To is exclusive

	changes []*Change
	byID    map[string]*Change
}

// Add takes an entry.
func (r *Report) Add(l Leaf) {
	if r.byID == nil {
		r.byID = map[string]*Change{}
	}
	switch {
	case strings.HasSuffix(l.Type, ".intent"):
		if !r.From.IsZero() && l.Time.Before(r.From) || !r.To.IsZero() && !l.Time.Before(r.To) {
			return
		}
		c := &Change{
			Time: l.Time, ID: l.ID, Plane: l.Text("target.plane"), Kind: l.Text("target.kind"), Name: l.Text("target.name"),
			Action: l.Text("action"), Before: l.Text("before"), After: l.Text("after"), Outcome: OutcomeUnfinished,
			RunSystem: l.Text("run.system"), Run: l.Text("run.id"), Workspace: l.Text("run.workspace"), Commit: l.Text("run.commit"),
			Actor: first(l.Text("actor.account"), l.Text("actor.token_id"), l.Text("actor.kind")), Approver: l.Text("run.approver"),
			Gates: []string{},
		}
		r.changes = append(r.changes, c)
		r.byID[l.ID] = c
	case strings.HasSuffix(l.Type, ".result"):
		if c := r.byID[l.Text("intent")]; c != nil {
			c.Outcome = l.Text("outcome")
			c.Before, c.After = first(l.Text("before"), c.Before), first(l.Text("after"), c.After)
		}
	case l.Type == RolloutGate{}.eventType():
		if c := r.deployment(l); c != nil {
			verdict := "failed"
			if l.Text("passed") == "true" {
				verdict = "passed"
			}
			c.Gates = append(c.Gates, l.Text("gate")+":"+verdict)
		}
	case l.Type == RolloutRollback{}.eventType():
		if c := r.deployment(l); c != nil {
			c.Rollback = l.Text("to")
		}
	}
}

// deployment is the newest change of the deployment that an event of a rollout is about.
func (r *Report) deployment(l Leaf) *Change {
	for _, c := range slices.Backward(r.changes) {
		if c.Kind == string(KindDeployment) && c.Plane == l.Text("target.plane") && c.Name == l.Text("target.name") && c.Run == l.Text("run.id") {
			return c
		}
	}
	return nil
}

// Changes are those that were found, oldest first.
func (r *Report) Changes() []Change {
	changes := make([]Change, 0, len(r.changes))
	for _, c := range r.changes {
		changes = append(changes, *c)
	}
	return changes
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
