// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// Deployments lists the deployments of a Worker, by id or name, newest first:
// the first one is live. The answer is shared until this process deploys.
func (c *Client) Deployments(ctx context.Context, worker string) ([]Deployment, error) {
	name, err := c.workerName(ctx, worker)
	if err != nil {
		return nil, err
	}
	return shared(ctx, &c.cache.mu, c.cache.deployments, name, func() ([]Deployment, error) {
		return c.listDeployments(ctx, name)
	})
}

// FreshDeployments is Deployments, asked anew.
func (c *Client) FreshDeployments(ctx context.Context, worker string) ([]Deployment, error) {
	name, err := c.workerName(ctx, worker)
	if err != nil {
		return nil, err
	}
	c.cache.mu.Lock()
	delete(c.cache.deployments, name)
	undeployed := c.cache.undeployed[name]
	c.cache.mu.Unlock()
	if undeployed {
		return nil, nil
	}
	return c.Deployments(ctx, worker)
}

// LiveDeployment returns the deployment that serves now; nil if there is none.
func (c *Client) LiveDeployment(ctx context.Context, worker string) (*Deployment, error) {
	all, err := c.Deployments(ctx, worker)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func (c *Client) listDeployments(ctx context.Context, name string) ([]Deployment, error) {
	script, err := segment(name)
	if err != nil {
		return nil, err
	}
	params := workers.ScriptDeploymentListParams{}
	params.AccountID.Value = c.accountID
	var a answer
	var result struct {
		Deployments *[]Deployment `json:"deployments"`
	}
	if _, err = c.deployments.List(ctx, script, params, a.into()...); err == nil {
		if err = c.decodeObject(&a, &result); err == nil && result.Deployments == nil {
			// Taken for an empty history it would make Terraform deploy anew.
			err = c.oddResult(&a, errors.New("it has no deployments"))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listing the deployments of Worker %q: %w", name, err)
	}
	return *result.Deployments, nil
}

// CreateDeployment makes in.Versions what is live, provided in.Check accepts
// what is live now. If exactly that is live already, it returns the live
// deployment and deploys nothing.
//
// A self-hosted plane compares and deploys in one step; Cloudflare cannot, so
// there somebody may deploy between the look and the call. If the answer gets
// lost, the history is looked at before anything is repeated.
func (c *Client) CreateDeployment(ctx context.Context, worker string, in DeploymentInput) (*Deployment, error) {
	name, err := c.workerName(ctx, worker)
	if err != nil {
		return nil, err
	}
	d, err := c.deploy(ctx, name, in)
	c.cache.deployedTo(name)
	if err != nil {
		return nil, fmt.Errorf("deploying Worker %q: %w", name, err)
	}
	return d, nil
}

func (c *Client) deploy(ctx context.Context, name string, in DeploymentInput) (*Deployment, error) {
	marking := Marking{Marker: DeploymentMarker(in.Versions), Rollout: in.Rollout, Run: in.Run, Message: in.Message}
	base, err := c.deployBase(ctx, name, in)
	if err != nil {
		return nil, err
	}
	for {
		if base.done != nil {
			return base.done, nil
		}
		var d *Deployment
		changed := false
		err = c.lookThenRepeat(ctx, func() error {
			d, err = c.postDeployment(ctx, name, in, marking, base.id)
			return err
		}, func() (bool, error) {
			live, err := c.freshLive(ctx, name)
			switch {
			case err != nil:
				return false, err
			case live == nil && base.id == "", live != nil && live.ID == base.id:
				return false, nil
			}
			changed = true // by the lost call, or by somebody else
			return true, nil
		})
		if err == nil && !changed {
			return d, nil
		}
		if !changed && !isPrecondition(err) && !IsConflict(err) {
			return nil, err
		}
		// What is live now decides.
		expected, refusal := base.id, err
		base, err = c.look(ctx, name, in)
		if err != nil {
			return nil, err
		}
		if base.done == nil && base.id == expected {
			return nil, fmt.Errorf("the plane refuses to deploy over %q, although that is live (%w): apply again", expected, refusal)
		}
	}
}

// footing is what a deployment builds on.
type footing struct {
	id   string      // of the live deployment; empty if nothing is live
	done *Deployment // set if what is wanted is live already
}

// deployBase looks at what is live, unless that can be known without.
func (c *Client) deployBase(ctx context.Context, name string, in DeploymentInput) (footing, error) {
	c.cache.mu.Lock()
	undeployed := c.cache.undeployed[name]
	c.cache.mu.Unlock()
	if undeployed {
		if err := in.Check(nil); err != nil {
			return footing{}, err
		}
		return footing{}, nil
	}
	if in.Expect != "" && !c.edge {
		if plane, err := c.Plane(ctx); err == nil && slices.Contains(plane.Capabilities, CapabilityIfMatch) {
			return footing{id: in.Expect}, nil
		}
	}
	return c.look(ctx, name, in)
}

func (c *Client) look(ctx context.Context, name string, in DeploymentInput) (footing, error) {
	live, err := c.freshLive(ctx, name)
	if err != nil {
		return footing{}, err
	}
	if live != nil && SameShares(live.Versions, in.Versions) && (!in.Again || sameMark(live.Marking(), in)) {
		return footing{done: live}, nil
	}
	if err := in.Check(live); err != nil {
		return footing{}, err
	}
	if live == nil {
		return footing{}, nil
	}
	return footing{id: live.ID}, nil
}

// sameMark reports whether a deployment is the one that in asks for, by its message.
func sameMark(m Marking, in DeploymentInput) bool { return m.Marker != "" && m.Rollout == in.Rollout }

func (c *Client) freshLive(ctx context.Context, name string) (*Deployment, error) {
	all, err := c.listDeployments(ctx, name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func (c *Client) postDeployment(ctx context.Context, name string, in DeploymentInput, marking Marking, over string) (*Deployment, error) {
	script, err := segment(name)
	if err != nil {
		return nil, err
	}
	body, err := jsonBody(map[string]any{
		"strategy":    "percentage",
		"versions":    in.Versions,
		"annotations": map[string]string{AnnotationMessage: marking.String()},
	})
	if err != nil {
		return nil, err
	}
	params := workers.ScriptDeploymentNewParams{}
	params.AccountID.Value = c.accountID
	var a answer
	opts := a.into(body)
	if in.Force {
		opts = append(opts, option.WithQuery("force", "true"))
	}
	if !c.edge {
		// Cloudflare documents neither header here, so it is not sent any.
		if over == "" {
			opts = append(opts, option.WithHeader("If-None-Match", "*"))
		} else {
			opts = append(opts, option.WithHeader("If-Match", `"`+over+`"`))
		}
	}
	if in.RolloutID != "" {
		opts = append(opts, option.WithHeader(RolloutHeader, in.RolloutID))
	}
	var d Deployment
	if _, err = c.deployments.New(ctx, script, params, opts...); err == nil {
		if err = c.decodeObject(&a, &d); err == nil && d.ID == "" {
			err = c.oddResult(&a, errors.New("it has no id"))
		}
	}
	if err != nil {
		return nil, err
	}
	if len(d.Versions) > 0 && !d.CreatedOn.IsZero() {
		return &d, nil
	}
	// Cloudflare has been seen to answer with the id alone.
	all, err := c.listDeployments(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, found := range all {
		if found.ID == d.ID {
			return &found, nil
		}
	}
	return nil, fmt.Errorf("deployment %s was created but is not in the history: refresh and plan again", d.ID)
}

func isPrecondition(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusPreconditionFailed
}

// SameShares reports whether two deployments send the same traffic to the same
// versions.
func SameShares(a, b []Share) bool {
	byID := func(x, y Share) int {
		if x.VersionID < y.VersionID {
			return -1
		}
		if x.VersionID > y.VersionID {
			return 1
		}
		return 0
	}
	a, b = slices.SortedFunc(slices.Values(a), byID), slices.SortedFunc(slices.Values(b), byID)
	return slices.Equal(a, b)
}
