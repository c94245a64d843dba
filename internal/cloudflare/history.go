// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"slices"
	"time"
)

// History is what a Worker has served and what it could serve.
type History struct {
	// Deployments, newest first; the first one is live. A plane shows the newest
	// hundred at most, Cloudflare fewer.
	Deployments []Deployment
	// Versions that can be deployed, newest first.
	Versions []Version
}

// Rejection says that a version was gone back from, and is not to be tried again
// unasked.
type Rejection struct {
	VersionID string
	// By is the deployment that put something else in the version's place.
	By Deployment
	// Gate is the gate that refused the version; empty if somebody went back by hand.
	Gate string
}

// When is the time of the rejection.
func (r Rejection) When() time.Time { return r.By.CreatedOn }

// History asks for both lists, which this process shares.
func (c *Client) History(ctx context.Context, worker string) (History, error) {
	deployments, err := c.Deployments(ctx, worker)
	if err != nil {
		return History{}, err
	}
	versions, err := c.DeployableVersions(ctx, worker)
	return History{Deployments: deployments, Versions: versions}, err
}

// Live is the deployment that serves now, nil if there is none.
func (h History) Live() *Deployment {
	if len(h.Deployments) == 0 {
		return nil
	}
	return &h.Deployments[0]
}

// Version is the version with this id among those that can be deployed, nil if it
// is not among them.
func (h History) Version(id string) *Version {
	for i := range h.Versions {
		if h.Versions[i].ID == id {
			return &h.Versions[i]
		}
	}
	return nil
}

// Rejected says who went back from a version, nil if nobody did. It is the last
// deployment with the version that decides: a version that was put back on purpose
// after it had been rejected is not rejected any more.
//
// A deployment of Hybridge's rejects what it says that it rejects. One of somebody
// else's does so if it replaces the version by an older one.
func (h History) Rejected(version string) *Rejection {
	for i, d := range h.Deployments {
		mark := d.Marking()
		if mark.Rollout.Rejects == version {
			return &Rejection{VersionID: version, By: d, Gate: mark.Rollout.Gate}
		}
		if !d.Serves(version) {
			continue
		}
		if i == 0 {
			return nil
		}
		next := h.Deployments[i-1]
		if next.Marking().Marker == "" && h.isOlder(next, version) {
			return &Rejection{VersionID: version, By: next}
		}
		return nil
	}
	return nil
}

// Rejected says who went back from a version of a Worker, nil if nobody did. It asks
// for the history, and for the versions only where their numbers decide.
func (c *Client) Rejected(ctx context.Context, worker, version string) (*Rejection, error) {
	deployments, err := c.Deployments(ctx, worker)
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := History{Deployments: deployments}
	if r := h.Rejected(version); r != nil || !h.displaced(version) {
		return r, nil
	}
	if h.Versions, err = c.DeployableVersions(ctx, worker); err != nil {
		return nil, err
	}
	return h.Rejected(version), nil
}

// displaced reports whether somebody else has replaced the version.
func (h History) displaced(version string) bool {
	i := slices.IndexFunc(h.Deployments, func(d Deployment) bool { return d.Serves(version) })
	return i > 0 && h.Deployments[i-1].Marking().Marker == ""
}

// isOlder reports whether a deployment goes back from a version: by what the plane
// says of it, or by the numbers of its versions.
func (h History) isOlder(d Deployment, version string) bool {
	if d.Annotations[AnnotationTriggeredBy] == triggeredByRollback {
		return true
	}
	was := h.Version(version)
	for _, s := range d.Versions {
		is := h.Version(s.VersionID)
		if was == nil || is == nil || is.Number >= was.Number {
			return false
		}
	}
	return len(d.Versions) > 0
}

// Serves reports whether the version is part of the deployment.
func (d Deployment) Serves(version string) bool {
	return slices.ContainsFunc(d.Versions, func(s Share) bool { return s.VersionID == version })
}

// Sole is the version that serves everything; empty if there is none.
func (d Deployment) Sole() string {
	for _, s := range d.Versions {
		if s.Percentage == 100 {
			return s.VersionID
		}
	}
	return ""
}

// Only is the version that serves alone; empty if another one is part of the
// deployment, were it at 0 %.
func (d Deployment) Only() string {
	if len(d.Versions) != 1 {
		return ""
	}
	return d.Versions[0].VersionID
}

// LastSole is the newest deployment in which the version served everything, nil if
// there is none.
func (h History) LastSole(version string) *Deployment {
	for i := range h.Deployments {
		if h.Deployments[i].Sole() == version {
			return &h.Deployments[i]
		}
	}
	return nil
}

// WasHealthy reports whether the version has served everything and was not rejected
// since.
func (h History) WasHealthy(version string) bool {
	return h.LastSole(version) != nil && h.Rejected(version) == nil
}

// LeftBehind reports whether a rollback_to = "previous" has gone back from the version, and
// it has not served since. That rejects nothing, but it is nothing to go back to either.
func (h History) LeftBehind(version string) bool {
	i := slices.IndexFunc(h.Deployments, func(d Deployment) bool { return d.Serves(version) })
	return i > 0 && h.Deployments[i-1].Marking().Rollout.Back != ""
}

// PreviousHealthy is the newest deployment before those of the versions that are
// live now in which another version served everything and was neither rejected nor left
// behind since; nil if the history shows none.
func (h History) PreviousHealthy() *Deployment {
	live := h.Live()
	if live == nil {
		return nil
	}
	for i := range h.Deployments {
		d := &h.Deployments[i]
		sole := d.Sole()
		if sole == "" || live.Serves(sole) && live.Sole() != "" || h.Rejected(sole) != nil || h.LeftBehind(sole) || h.Version(sole) == nil {
			continue
		}
		return d
	}
	return nil
}
