// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// listPageSize is as much as v4 lists usually allow; a plane that gives less is
// asked for more pages.
const listPageSize = 100

// CreateWorker creates a Worker. If the answer gets lost it looks whether the
// Worker is there as wanted before it tries again.
func (c *Client) CreateWorker(ctx context.Context, in WorkerInput) (*Worker, error) {
	body, err := jsonBody(in)
	if err != nil {
		return nil, err
	}
	var w Worker
	err = c.lookThenRepeat(ctx, func() error {
		params := workers.BetaWorkerNewParams{}
		params.AccountID.Value = c.accountID
		var a answer
		if _, err := c.workers.New(ctx, params, a.into(body)...); err != nil {
			return err
		}
		w, err = c.wholeWorker(ctx, &a)
		return err
	}, func() (bool, error) {
		found, err := c.getWorker(ctx, in.Name)
		if IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if found.DeployedOn != nil || !in.matches(found) {
			return false, fmt.Errorf("a Worker %q exists now, and whether this run made it is unknown: import it, or delete it and apply again", in.Name)
		}
		w = found
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("creating Worker %q: %w", in.Name, err)
	}
	c.cache.created(w)
	return &w, nil
}

// FreshWorker asks the plane for a Worker by id or name, past everything that is
// remembered.
func (c *Client) FreshWorker(ctx context.Context, idOrName string) (*Worker, error) {
	w, err := c.getWorker(ctx, idOrName)
	if err != nil {
		return nil, fmt.Errorf("reading Worker %q: %w", idOrName, err)
	}
	return &w, nil
}

func (c *Client) getWorker(ctx context.Context, idOrName string) (Worker, error) {
	id, err := segment(idOrName)
	if err != nil {
		return Worker{}, err
	}
	params := workers.BetaWorkerGetParams{}
	params.AccountID.Value = c.accountID
	var a answer
	if _, err := c.workers.Get(ctx, id, params, a.into()...); err != nil {
		return Worker{}, err
	}
	w, err := c.decodeWorker(&a)
	if err == nil {
		c.cache.learn(w)
	}
	return w, err
}

func (c *Client) decodeWorker(a *answer) (w Worker, err error) {
	if err = c.decodeObject(a, &w); err == nil && w.ID == "" {
		err = c.oddResult(a, errors.New("it has no id"))
	}
	return w, err
}

// wholeWorker decodes the answer to a write, and asks for what it leaves out:
// Cloudflare has been seen to answer writes with the id alone.
func (c *Client) wholeWorker(ctx context.Context, a *answer) (Worker, error) {
	w, err := c.decodeWorker(a)
	if err == nil && (w.Name == "" || w.CreatedOn.IsZero()) {
		return c.getWorker(ctx, w.ID)
	}
	return w, err
}

// Worker finds a Worker by id or name, for reading. The first ones are asked
// for one by one; from then on one list of the account answers everybody. That
// a Worker does not exist is never concluded from a list. The answer is shared:
// callers MUST NOT change it.
func (c *Client) Worker(ctx context.Context, idOrName string) (*Worker, error) {
	k := c.cache
	k.mu.Lock()
	if k.written[idOrName] {
		k.mu.Unlock()
		return c.FreshWorker(ctx, idOrName)
	}
	_, known := k.workers[idOrName]
	single := known || (len(k.lists) == 0 && k.asked < listAfter)
	if single && !known {
		k.asked++
	}
	k.mu.Unlock()

	if !single {
		all, err := c.workerList(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		k.mu.Lock()
		w, ok := all[idOrName]
		ok = ok && err == nil && !k.written[w.ID] && !k.written[w.Name]
		k.mu.Unlock()
		if ok {
			return &w, nil
		}
	}
	return shared(ctx, &k.mu, k.workers, idOrName, func() (*Worker, error) {
		w, err := c.FreshWorker(ctx, idOrName)
		if err == nil {
			k.alias(w)
		}
		return w, err
	})
}

// workerList lists the account once, by id and by name.
func (c *Client) workerList(ctx context.Context) (map[string]Worker, error) {
	return shared(ctx, &c.cache.mu, c.cache.lists, "", func() (map[string]Worker, error) {
		all, err := c.ListWorkers(ctx)
		byKey := make(map[string]Worker, 2*len(all))
		for _, w := range all {
			byKey[w.Name] = w
		}
		for _, w := range all { // an id wins over a name that looks like it
			byKey[w.ID] = w
			c.cache.learn(w)
		}
		return byKey, err
	})
}

// ListWorkers lists all Workers of the account, always from the plane.
func (c *Client) ListWorkers(ctx context.Context) ([]Worker, error) {
	all, err := pages(func(number int, a *answer) error {
		params := workers.BetaWorkerListParams{}
		params.AccountID.Value = c.accountID
		_, err := c.workers.List(ctx, params, a.page(number, listPageSize)...)
		return err
	}, c, func(w Worker) string { return w.ID })
	if err != nil {
		return nil, fmt.Errorf("listing Workers: %w", err)
	}
	return all, nil
}

// UpdateWorker changes what in sets and leaves the rest.
func (c *Client) UpdateWorker(ctx context.Context, idOrName string, in WorkerInput) (*Worker, error) {
	id, err := segment(idOrName)
	if err != nil {
		return nil, err
	}
	body, err := jsonBody(in)
	if err != nil {
		return nil, err
	}
	c.cache.touched(idOrName, in.Name)
	var w Worker
	err = c.lookThenRepeat(ctx, func() error {
		params := workers.BetaWorkerEditParams{}
		params.AccountID.Value = c.accountID
		var a answer
		if _, err := c.workers.Edit(ctx, id, params, a.into(body)...); err != nil {
			return err
		}
		w, err = c.wholeWorker(ctx, &a)
		return err
	}, func() (bool, error) {
		found, err := c.getWorker(ctx, idOrName)
		w = found
		return err == nil && in.matches(found), err
	})
	if err != nil {
		return nil, fmt.Errorf("updating Worker %q: %w", idOrName, err)
	}
	c.cache.touched(w.ID, w.Name)
	c.cache.learn(w)
	return &w, nil
}

// matches reports whether w has what in sets. Observability is not compared:
// planes fill in defaults. It decides on nothing that could be lost.
func (in WorkerInput) matches(w Worker) bool {
	sub := in.Subdomain
	return (in.Name == "" || in.Name == w.Name) &&
		(in.Logpush == nil || *in.Logpush == w.Logpush) &&
		(in.Tags == nil || slices.Equal(slices.Sorted(slices.Values(*in.Tags)), slices.Sorted(slices.Values(w.Tags)))) &&
		(in.Observability == nil || in.Observability.Enabled == nil ||
			(w.Observability != nil && w.Observability.Enabled != nil && *in.Observability.Enabled == *w.Observability.Enabled)) &&
		(sub == nil || ((sub.Enabled == nil || *sub.Enabled == w.Subdomain.Enabled) &&
			(sub.PreviewsEnabled == nil || *sub.PreviewsEnabled == w.Subdomain.PreviewsEnabled)))
}

// DeleteWorker deletes a Worker with its versions and deployments. That it is
// gone already is no error. Without force a plane may refuse while others refer
// to the Worker.
func (c *Client) DeleteWorker(ctx context.Context, idOrName string, force bool) error {
	id, err := segment(idOrName)
	if err != nil {
		return err
	}
	c.cache.touched(idOrName)
	params := workers.BetaWorkerDeleteParams{}
	params.AccountID.Value = c.accountID
	var a answer
	opts := a.into()
	if force {
		opts = append(opts, option.WithQuery("force", "true"))
	}
	if _, err = c.workers.Delete(ctx, id, params, opts...); err == nil {
		_, err = c.decode(&a, nil)
	}
	c.cache.forget(idOrName)
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting Worker %q: %w", idOrName, err)
	}
	return nil
}

// WorkerRef is what names a Worker.
type WorkerRef struct {
	ID   string // never changes
	Name string
}

// WorkerRef gives id and name of a Worker that is known by one of them. For one
// that this process has seen it needs no request.
func (c *Client) WorkerRef(ctx context.Context, idOrName string) (WorkerRef, error) {
	c.cache.mu.Lock()
	ref, ok := c.cache.refs[idOrName]
	c.cache.mu.Unlock()
	if ok {
		return ref, nil
	}
	w, err := c.Worker(ctx, idOrName)
	if err != nil {
		return WorkerRef{}, err
	}
	return WorkerRef{ID: w.ID, Name: w.Name}, nil
}

// KnownName is the name of a Worker that is known by id or name, without a request: the
// id itself where this process has not seen the Worker.
func (c *Client) KnownName(idOrName string) string {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if ref, ok := c.cache.refs[idOrName]; ok && ref.Name != "" {
		return ref.Name
	}
	return idOrName
}

// workerName gives the name of a Worker that is known by id or name: the scripts
// endpoints want names. What is no id is taken for a name, without a request.
func (c *Client) workerName(ctx context.Context, idOrName string) (string, error) {
	if !LooksLikeID(idOrName) {
		return idOrName, nil
	}
	ref, err := c.WorkerRef(ctx, idOrName)
	return ref.Name, err
}

// lookThenRepeat runs act. After an outcome that is unknown it looks whether act
// took effect, and repeats it only if not.
func (c *Client) lookThenRepeat(ctx context.Context, act func() error, look func() (done bool, err error)) error {
	for attempt := 0; ; attempt++ {
		err := act()
		if attempt > 0 && IsConflict(err) && ctx.Err() == nil {
			// What got lost may have been carried out after the look.
			if done, lookErr := look(); lookErr == nil && done {
				return nil
			}
		}
		if err == nil || ctx.Err() != nil || !outcomeUnknown(err) {
			return err
		}
		// What got lost may still be under way on the plane.
		if err := c.wire.sleep(ctx, backoff(attempt)); err != nil {
			return err
		}
		done, lookErr := look()
		if done && lookErr == nil {
			return nil
		}
		if lookErr != nil {
			return fmt.Errorf("%w; whether it took effect could not be found out: %w", err, lookErr)
		}
		var ae *AnswerError
		if attempt >= c.wire.retries || (errors.As(err, &ae) && ae.Status < 500) {
			return err
		}
	}
}

// pages collects a v4 list. Planes end it by an empty page, by total_count, or
// (wrongly) by repeating themselves.
func pages[T any](get func(number int, a *answer) error, c *Client, id func(T) string) ([]T, error) {
	var all []T
	seen := map[string]bool{}
	for number := 1; ; number++ {
		var a answer
		if err := get(number, &a); err != nil {
			return nil, err
		}
		var items []T
		env, err := c.decode(&a, &items)
		if err != nil {
			return nil, err
		}
		before := len(all)
		for _, item := range items {
			if !seen[id(item)] {
				seen[id(item)] = true
				all = append(all, item)
			}
		}
		if len(all) == before {
			return all, nil
		}
		if env.ResultInfo != nil && env.ResultInfo.TotalCount != nil && len(all) >= *env.ResultInfo.TotalCount {
			return all, nil
		}
	}
}
