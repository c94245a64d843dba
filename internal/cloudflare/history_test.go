// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// past writes a history, oldest first: each step is a deployment.
type past struct{ History }

// newPast has n versions, v1 the oldest.
func newPast(n int) *past {
	p := &past{}
	for i := n; i >= 1; i-- {
		p.Versions = append(p.Versions, Version{ID: fmt.Sprint("v", i), Number: int64(i)})
	}
	return p
}

func (p *past) then(mark *RolloutMark, trigger string, shares ...Share) *past {
	d := Deployment{ID: fmt.Sprint("d", len(p.Deployments)+1), Versions: shares, Annotations: map[string]string{AnnotationTriggeredBy: trigger}}
	if mark != nil {
		d.Annotations[AnnotationMessage] = Marking{Marker: DeploymentMarker(shares), Rollout: *mark}.String()
	}
	p.Deployments = append([]Deployment{d}, p.Deployments...)
	return p
}

func sole(id string) Share { return Share{id, 100} }

// ours is a deployment of Hybridge's, theirs one of somebody else's.
func (p *past) ours(shares ...Share) *past   { return p.then(&RolloutMark{}, "promotion", shares...) }
func (p *past) theirs(shares ...Share) *past { return p.then(nil, "promotion", shares...) }
func (p *past) refuses(version, gate string, shares ...Share) *past {
	return p.then(&RolloutMark{Rejects: version, Gate: gate}, "rollback", shares...)
}

func TestWhatRejectsAVersion(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		past *past
		want string // the deployment that rejects v2; empty: none
		gate string
	}{
		"nothing":                             {newPast(3).ours(sole("v1")), "", ""},
		"it is live":                          {newPast(3).ours(sole("v1")).ours(sole("v2")), "", ""},
		"a gate":                              {newPast(3).ours(sole("v1")).ours(Share{"v2", 10}, Share{"v1", 90}).refuses("v2", "health", sole("v1")), "d3", "health"},
		"a gate, and much has happened since": {newPast(3).ours(sole("v1")).refuses("v2", "health", sole("v1")).ours(sole("v3")).ours(sole("v1")), "d2", "health"},
		"held after a gate":                   {newPast(3).ours(Share{"v2", 10}, Share{"v1", 90}).refuses("v2", "health", Share{"v2", 10}, Share{"v1", 90}), "d2", "health"},
		"somebody's rollback":                 {newPast(3).ours(sole("v1")).ours(sole("v2")).then(nil, "rollback", sole("v1")), "d3", ""},
		"an older version, by hand":           {newPast(3).ours(sole("v2")).theirs(sole("v1")), "d2", ""},
		"a newer version, by hand":            {newPast(3).ours(sole("v2")).theirs(sole("v3")), "", ""},
		"by hand out of a split":              {newPast(3).ours(sole("v1")).ours(Share{"v2", 10}, Share{"v1", 90}).theirs(sole("v1")), "d3", ""},
		"our own older version":               {newPast(3).ours(sole("v1")).ours(sole("v2")).ours(sole("v1")), "", ""},
		"rejected, then put back on purpose":  {newPast(3).ours(sole("v1")).refuses("v2", "health", sole("v1")).theirs(sole("v2")), "", ""},
		"put back and gone back from again":   {newPast(3).ours(sole("v2")).theirs(sole("v1")).ours(sole("v2")).theirs(sole("v1")), "d4", ""},
		"somebody else's, over somebody's":    {newPast(3).theirs(sole("v2")).theirs(sole("v1")), "d2", ""},
		"a plane that went back for a run":    {newPast(3).ours(sole("v1")).ours(Share{"v2", 10}, Share{"v1", 90}).then(&RolloutMark{ID: "12345678"}, "rollback", sole("v1")), "", ""},
	} {
		got, gate := "", ""
		if r := tt.past.Rejected("v2"); r != nil {
			got, gate = r.By.ID, r.Gate
		}
		if got != tt.want || gate != tt.gate {
			t.Errorf("%s: v2 is rejected by %q (gate %q), want %q (%q)", name, got, gate, tt.want, tt.gate)
		}
	}
}

func TestThePreviousHealthyVersion(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		past *past
		want string
	}{
		"nothing is live":             {newPast(1), ""},
		"only one ever":               {newPast(1).ours(sole("v1")), ""},
		"the one before":              {newPast(3).ours(sole("v1")).ours(sole("v2")).ours(sole("v3")), "v2"},
		"not the same one again":      {newPast(3).ours(sole("v1")).ours(sole("v2")).ours(sole("v2")), "v1"},
		"not a step of a rollout":     {newPast(3).ours(sole("v1")).ours(Share{"v2", 50}, Share{"v1", 50}).ours(sole("v3")), "v1"},
		"not a rejected one":          {newPast(3).ours(sole("v1")).ours(sole("v2")).refuses("v2", "health", sole("v1")).ours(sole("v3")), "v1"},
		"after a rollback":            {newPast(3).ours(sole("v1")).ours(sole("v2")).ours(sole("v3")).ours(sole("v2")), "v3"},
		"not one that is left behind": {newPast(3).ours(sole("v1")).ours(sole("v2")).ours(sole("v3")).then(&RolloutMark{Back: "previous"}, "promotion", sole("v2")), "v1"},
		"left behind, then put back":  {newPast(3).ours(sole("v1")).ours(sole("v3")).then(&RolloutMark{Back: "previous"}, "promotion", sole("v1")).ours(sole("v3")).ours(sole("v2")), "v3"},
		"the healthy part of a split": {newPast(3).ours(sole("v1")).ours(Share{"v2", 50}, Share{"v1", 50}), "v1"},
		"not one that is too old": {&past{History{
			Versions:    []Version{{ID: "v3", Number: 3}},
			Deployments: newPast(3).ours(sole("v1")).ours(sole("v3")).Deployments,
		}}, ""},
	} {
		got := ""
		if d := tt.past.PreviousHealthy(); d != nil {
			got = d.Sole()
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
