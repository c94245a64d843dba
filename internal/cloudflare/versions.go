// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// CreateVersion uploads a version of a Worker, by id or name, and deploys
// nothing. If the answer gets lost it looks for the marker among the versions
// that were not there before, and uploads again only if it finds none.
func (c *Client) CreateVersion(ctx context.Context, worker string, up VersionUpload) (*Version, error) {
	id, err := segment(worker)
	if err != nil {
		return nil, err
	}
	name, err := c.workerName(ctx, worker)
	if err != nil {
		return nil, err
	}
	before, err := c.DeployableVersions(ctx, worker)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(before))
	for _, v := range before {
		known[v.ID] = true
	}
	var v Version
	err = c.lookThenRepeat(ctx, func() error {
		params := workers.BetaWorkerVersionNewParams{}
		params.AccountID.Value = c.accountID
		var a answer
		body := option.WithRequestBody("application/json", streamed{open: up.Body})
		if _, err := c.versions.New(ctx, id, params, a.into(body)...); err != nil {
			return err
		}
		v, err = c.decodeVersion(&a)
		if err == nil && (v.Number == 0 || v.CreatedOn.IsZero()) {
			// Cloudflare has been seen to answer writes with the id alone.
			v, err = c.getVersion(ctx, worker, v.ID, false)
		}
		return err
	}, func() (bool, error) {
		c.cache.uploadedTo(name, "", 0)
		after, err := c.DeployableVersions(ctx, worker)
		if err != nil {
			return false, err
		}
		for _, found := range after {
			if !known[found.ID] && up.Marker != "" && found.Marker() == up.Marker {
				v, err = c.getVersion(ctx, worker, found.ID, false)
				return err == nil, err
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("uploading a version of Worker %q: %w", worker, err)
	}
	c.cache.uploadedTo(name, v.ID, v.Number)
	return &v, nil
}

// Version asks for a version's metadata.
func (c *Client) Version(ctx context.Context, worker, versionID string) (*Version, error) {
	v, err := c.getVersion(ctx, worker, versionID, false)
	return &v, err
}

// VersionWithModules asks for a version with the bytes of its modules.
func (c *Client) VersionWithModules(ctx context.Context, worker, versionID string) (*Version, error) {
	v, err := c.getVersion(ctx, worker, versionID, true)
	return &v, err
}

func (c *Client) getVersion(ctx context.Context, worker, versionID string, modules bool) (v Version, err error) {
	id, err := segment(worker)
	if err != nil {
		return v, err
	}
	vid, err := segment(versionID)
	if err != nil {
		return v, err
	}
	params := workers.BetaWorkerVersionGetParams{}
	params.AccountID.Value = c.accountID
	var a answer
	opts := a.into()
	if modules {
		opts = append(opts, option.WithQuery("include", "modules"))
	}
	if _, err = c.versions.Get(ctx, id, vid, params, opts...); err == nil {
		v, err = c.decodeVersion(&a)
	}
	if err != nil {
		return v, fmt.Errorf("reading version %s of Worker %q: %w", versionID, worker, err)
	}
	return v, nil
}

func (c *Client) decodeVersion(a *answer) (v Version, err error) {
	if err = c.decodeObject(a, &v); err == nil && v.ID == "" {
		err = c.oddResult(a, errors.New("it has no id"))
	}
	return v, err
}

// DeployableVersions lists the versions that can be deployed, newest first, with
// id, number, created_on, source and annotations. The answer is shared until
// this process uploads a version.
func (c *Client) DeployableVersions(ctx context.Context, worker string) ([]Version, error) {
	name, err := c.workerName(ctx, worker)
	if err != nil {
		return nil, err
	}
	c.cache.mu.Lock()
	none := c.cache.versionless[name]
	c.cache.mu.Unlock()
	if none {
		return nil, nil
	}
	return shared(ctx, &c.cache.mu, c.cache.versions, name, func() ([]Version, error) {
		return c.deployableVersions(ctx, name)
	})
}

func (c *Client) deployableVersions(ctx context.Context, name string) ([]Version, error) {
	script, err := segment(name)
	if err != nil {
		return nil, err
	}
	params := workers.ScriptVersionListParams{}
	params.AccountID.Value = c.accountID
	var a answer
	var result struct {
		Items *[]scriptVersion `json:"items"`
	}
	// deployable=true ignores pagination: one answer has them all.
	if _, err = c.scripts.Versions.List(ctx, script, params, a.into(option.WithQuery("deployable", "true"))...); err == nil {
		if err = c.decodeObject(&a, &result); err == nil && result.Items == nil {
			err = c.oddResult(&a, errors.New("it has no items"))
		}
	}
	if IsNotFound(err) {
		// A Worker without any version need not be a script yet.
		if _, workerErr := c.FreshWorker(ctx, name); workerErr == nil {
			return nil, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listing the versions of Worker %q: %w", name, err)
	}
	versions := make([]Version, len(*result.Items))
	for i, item := range *result.Items {
		versions[i] = item.version()
	}
	slices.SortStableFunc(versions, func(a, b Version) int { return int(b.Number - a.Number) })
	return versions, nil
}

// scriptVersion is how the scripts endpoints write a version in a list.
type scriptVersion struct {
	ID       string `json:"id"`
	Number   int64  `json:"number"`
	Metadata struct {
		CreatedOn   time.Time `json:"created_on"`
		Source      string    `json:"source"`
		AuthorEmail string    `json:"author_email"`
	} `json:"metadata"`
	Annotations map[string]string `json:"annotations"`
}

func (s scriptVersion) version() Version {
	return Version{
		ID: s.ID, Number: s.Number, CreatedOn: s.Metadata.CreatedOn, Source: s.Metadata.Source,
		AuthorEmail: s.Metadata.AuthorEmail, Annotations: s.Annotations,
	}
}

// FindVersion looks for the newest deployable version that stands for one with
// this marker and returns it in full; nil if there is none. That is a version
// which carries the marker; a disposable one (DisposableMarker) only if marker is
// of that form itself, and then one that is not disposable goes first.
func (c *Client) FindVersion(ctx context.Context, worker, marker string) (*Version, error) {
	all, err := c.DeployableVersions(ctx, worker)
	if err != nil {
		return nil, err
	}
	for _, wanted := range adoptable(marker) {
		for _, v := range all {
			if v.Marker() == wanted {
				return c.Version(ctx, worker, v.ID)
			}
		}
	}
	return nil, nil
}

// Uploaded is the number of a version that this process has uploaded; 0 if it has not.
func (c *Client) Uploaded(ctx context.Context, worker, versionID string) int64 {
	name, err := c.workerName(ctx, worker)
	if err != nil {
		return 0
	}
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	return c.cache.uploaded[name][versionID]
}

// VersionExists reports whether the Worker has this version. One that is live needs
// no request beside that for the deployments, which live plans make anyhow; others
// share one list per Worker, and only a version that is not among its newest hundred
// is asked for alone. What was live once proves nothing: it may be deleted since.
func (c *Client) VersionExists(ctx context.Context, worker, versionID string) (bool, error) {
	name, err := c.workerName(ctx, worker)
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.cache.mu.Lock()
	found := c.cache.uploaded[name][versionID] > 0
	listed := c.cache.versions[name]
	c.cache.mu.Unlock()
	is := func(v Version) bool { return v.ID == versionID }
	if found {
		return true, nil
	}
	if listed != nil {
		if all, err := listed.wait(ctx); err == nil && slices.ContainsFunc(all, is) {
			return true, nil
		}
	}
	live, err := c.LiveDeployment(ctx, worker)
	if err != nil && !IsNotFound(err) {
		return false, err
	}
	if live != nil && live.Serves(versionID) {
		return true, nil // no plane deletes what is live
	}
	all, err := c.DeployableVersions(ctx, worker)
	if err != nil && !IsNotFound(err) {
		return false, err
	}
	if slices.ContainsFunc(all, is) {
		return true, nil
	}
	_, err = c.Version(ctx, worker, versionID)
	var e *Error
	switch {
	case err == nil:
		return true, nil
	case IsNotFound(err):
		return false, nil
	case errors.As(err, &e) && e.Status >= http.StatusInternalServerError && e.Code == codeInternal:
		return false, nil // beta endpoints have answered so for ids they do not know
	}
	return false, err
}

// DeleteVersion deletes a version. That it is gone already is no error.
func (c *Client) DeleteVersion(ctx context.Context, worker, versionID string) error {
	id, err := segment(worker)
	if err != nil {
		return err
	}
	vid, err := segment(versionID)
	if err != nil {
		return err
	}
	params := workers.BetaWorkerVersionDeleteParams{}
	params.AccountID.Value = c.accountID
	var a answer
	if _, err = c.versions.Delete(ctx, id, vid, params, a.into()...); err == nil {
		_, err = c.decode(&a, nil)
	}
	c.cache.deletedVersion(worker, versionID)
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("deleting version %s of Worker %q: %w", versionID, worker, err)
	}
	return nil
}
