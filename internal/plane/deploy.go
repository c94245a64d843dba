// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

const (
	// switchTimeout bounds a change of what runs. A change goes on when its client
	// has gone, so that it ends as a whole.
	switchTimeout = time.Minute
	// percentageSlack is what clients allow for rounding.
	percentageSlack = 0.001
)

// deployOptions are what a deployment says besides its shares.
type deployOptions struct {
	actor actor
	// annotations are the client's.
	annotations map[string]string
	// triggeredBy is the annotation workers/triggered_by; empty means promotion or
	// rollback, by the versions' age.
	triggeredBy string
	// force deploys although secrets have changed since (10220).
	force bool
	// precondition, if set, gets the id of the live deployment, "" where nothing is
	// live, and says whether it may be replaced; otherwise 412 with code 10018.
	precondition func(live string) bool
	// rollout is the id of the rollout that it is a step of, "" if it is none. note, if not
	// nil, is what the deployment changes about it, where the plane acts in the driver's place.
	rollout string
	note    *registry.Note
}

// deploy makes shares the Worker's live deployment: it checks them, has the
// runtime switch, and commits. It returns after every later request is routed by
// the new deployment; on error the old one is live.
func (p *Plane) deploy(ctx context.Context, w registry.Worker, shares []registry.Share, o deployOptions) (registry.Deployment, error) {
	if o.rollout != "" {
		answered, err := p.driverCalls(o.rollout)
		if err != nil {
			return registry.Deployment{}, err
		}
		defer answered()
	}
	w, ctx, done, err := p.beginSwitch(ctx, w)
	if err != nil {
		return registry.Deployment{}, err
	}
	defer done()
	if o.rollout != "" {
		if err := p.checkRollout(ctx, w, o.rollout); err != nil {
			return registry.Deployment{}, err
		}
	}
	return p.switchTo(ctx, w, shares, o)
}

// switchTo is deploy with the Worker's lock held.
func (p *Plane) switchTo(ctx context.Context, w registry.Worker, shares []registry.Share, o deployOptions) (registry.Deployment, error) {
	live, found, err := p.reg.LiveDeployment(ctx, w.ID)
	if err != nil {
		return registry.Deployment{}, err
	}
	if o.precondition != nil && !o.precondition(live.ID) {
		return registry.Deployment{}, liveChanged(w, live, found)
	}
	trigger, err := p.checkShares(ctx, w, shares, live, o.force)
	if err != nil {
		return registry.Deployment{}, err
	}
	if o.triggeredBy != "" {
		trigger = o.triggeredBy
	}
	if err := p.apply(ctx, w, shares); err != nil {
		return registry.Deployment{}, fmt.Errorf("deploying the Worker %q: %w", w.Name, err)
	}
	d, err := p.commit(ctx, registry.Deployment{
		WorkerID: w.ID, Source: o.actor.source, Strategy: "percentage", AuthorID: o.actor.authorID, AuthorEmail: o.actor.authorEmail,
		Annotations: annotations(o.annotations, trigger), Shares: shares,
	}, live.ID, o)
	if err != nil {
		p.revert(w, live.Shares)
		if refused := refusedNote(o.rollout, err); refused != nil {
			return registry.Deployment{}, refused
		}
		if errors.Is(err, registry.ErrLiveChanged) {
			return registry.Deployment{}, fail(http.StatusConflict, codeConcurrent, "Another deployment of the Worker %q was created at the same time: look at it before deploying again.", w.Name)
		}
		return registry.Deployment{}, fmt.Errorf("deploying the Worker %q: %w", w.Name, err)
	}
	return d, nil
}

// commit stores what runs already.
func (p *Plane) commit(ctx context.Context, d registry.Deployment, over string, o deployOptions) (registry.Deployment, error) {
	if o.rollout == "" {
		return p.reg.CreateDeployment(ctx, d, over)
	}
	note := registry.Note{Driver: true}
	if o.note != nil {
		note = *o.note
	}
	d, _, err := p.reg.CreateRolloutDeployment(ctx, d, over, o.rollout, note)
	if err == nil {
		p.outbox.Wake()
	}
	return d, err
}

// beginSwitch takes the Worker's lock and reads it anew. The context it returns
// does not end with the request. done must be called.
func (p *Plane) beginSwitch(ctx context.Context, w registry.Worker) (registry.Worker, context.Context, func(), error) {
	release, err := p.locks.acquire(ctx, "switch "+w.ID)
	if err != nil {
		return w, nil, nil, transientIfCancelled(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), switchTimeout)
	done := func() { cancel(); release() }
	fresh, err := p.reg.WorkerByID(ctx, w.ID)
	if err != nil {
		done()
		return w, nil, nil, orElse(err, workerNotFound(w.Name))
	}
	return fresh, ctx, done, nil
}

// revert puts the runtime back to what the registry says. It has a time of its
// own: the one of the failed change may be used up.
func (p *Plane) revert(w registry.Worker, shares []registry.Share) {
	ctx, cancel := context.WithTimeout(context.Background(), switchTimeout)
	defer cancel()
	if err := p.apply(ctx, w, shares); err != nil {
		p.markBroken(w)
		p.log.Error("could not go back to the live deployment", "worker", w.Name, "error", err)
	}
}

func liveChanged(w registry.Worker, live registry.Deployment, found bool) *Error {
	if !found {
		return fail(http.StatusPreconditionFailed, codeETagMismatch, "The Worker %q has no deployment, and the request expects one: read the deployments again.", w.Name)
	}
	return fail(http.StatusPreconditionFailed, codeETagMismatch, "The Worker %q has another live deployment than the request expects: %s by %s (%s) of %s. Read the deployments again and decide.",
		w.Name, live.ID, live.AuthorEmail, live.Source, live.CreatedOn.Format(time.RFC3339))
}

func badDeployment(format string, args ...any) *Error {
	return fail(http.StatusBadRequest, codeBadDeployment, format, args...)
}

// checkShares refuses shares that cannot be deployed, and says what kind of
// deployment they are: "promotion" or "rollback".
func (p *Plane) checkShares(ctx context.Context, w registry.Worker, shares []registry.Share, live registry.Deployment, force bool) (string, error) {
	if len(shares) < 1 || len(shares) > 2 {
		return "", badDeployment("A deployment has one or two versions, not %d.", len(shares))
	}
	var sum float64
	for _, s := range shares {
		// Written so that NaN fails.
		if !(s.Percentage >= 0 && s.Percentage <= 100) {
			return "", badDeployment("The percentage of version %s must be between 0 and 100.", s.VersionID)
		}
		sum += s.Percentage
	}
	if math.Abs(sum-100) > percentageSlack {
		return "", badDeployment("The percentages of a deployment must add up to 100; these add up to %v.", sum)
	}
	if len(shares) == 2 && shares[0].VersionID == shares[1].VersionID {
		return "", badDeployment("Version %s is there twice: a deployment has different versions.", shares[0].VersionID)
	}
	newestLive, err := p.newestOf(ctx, w, live.Shares)
	if err != nil {
		return "", err
	}
	trigger := "promotion"
	for _, s := range shares {
		v, err := p.reg.Version(ctx, w.ID, s.VersionID)
		if errors.Is(err, registry.ErrNotFound) {
			return "", fail(http.StatusNotFound, codeVersionNotFound, "The requested Worker version could not be found: the Worker %q has no version %q.", w.Name, s.VersionID)
		}
		if err != nil {
			return "", err
		}
		isLive := slices.ContainsFunc(live.Shares, func(l registry.Share) bool { return l.VersionID == s.VersionID })
		if newestLive == nil || isLive || v.Number > newestLive.Number {
			continue
		}
		trigger = "rollback"
		if force {
			continue
		}
		changed, err := p.changedSecrets(ctx, v, *newestLive)
		if err != nil {
			return "", err
		}
		if len(changed) > 0 {
			// wrangler takes the names out of this sentence.
			return "", fail(http.StatusBadRequest, codeSecretsChanged, "Version %s was uploaded with other secrets than the live version %s has. The following secrets have changed: %s", v.ID, newestLive.ID, strings.Join(changed, ", "))
		}
	}
	return trigger, p.checkAge(ctx, w, shares)
}

// newestOf is the share with the highest number, nil if there is none.
func (p *Plane) newestOf(ctx context.Context, w registry.Worker, shares []registry.Share) (*registry.Version, error) {
	var newest *registry.Version
	for _, s := range shares {
		v, err := p.reg.Version(ctx, w.ID, s.VersionID)
		if err != nil {
			return nil, err
		}
		if newest == nil || v.Number > newest.Number {
			newest = &v
		}
	}
	return newest, nil
}

// changedSecrets names the secrets that differ between two versions, sorted.
func (p *Plane) changedSecrets(ctx context.Context, a, b registry.Version) ([]string, error) {
	before, err := p.reg.Secrets(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	after, err := p.reg.Secrets(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for name := range names {
		if maps.EqualFunc(before[name], after[name], func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			delete(names, name)
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// checkAge refuses versions that are too old to be deployed, before the runtime
// starts them; the registry would refuse them as well.
func (p *Plane) checkAge(ctx context.Context, w registry.Worker, shares []registry.Share) error {
	for _, s := range shares {
		err := p.reg.CheckDeployable(ctx, w.ID, s.VersionID)
		if errors.Is(err, registry.ErrNotDeployable) {
			return badDeployment("Version %s is not among the %d most recent versions of the Worker %q, and only these can be deployed: upload its code again.", s.VersionID, registry.DeployableVersions, w.Name)
		}
		if err != nil {
			return orElse(err, versionNotFound(s.VersionID))
		}
	}
	return nil
}
