// SPDX-License-Identifier: MPL-2.0

// Package leak finds the versions that carry a secret, on several planes at once,
// by the digest of its ciphertext: after a leak they are what is left to mend.
package leak

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// parallel is how many Workers of a plane are asked about at a time.
const parallel = 8

// Plane is a plane to be asked.
type Plane struct {
	Name string
	// Open makes the client. What stops it concerns this plane alone.
	Open func(context.Context) (*cloudflare.Client, error)
}

// Carrier is a version that carries the secret.
type Carrier struct {
	Plane     string    `json:"plane"`
	Worker    string    `json:"worker"`
	VersionID string    `json:"version_id"`
	Number    int64     `json:"number"`
	CreatedOn time.Time `json:"created_on"`
	Live      float64   `json:"live_percentage"` // 0: it is not live
	Author    string    `json:"author"`
	// Declared says that the version itself says so. Otherwise it was made by a
	// change of other secrets on top of one that does, or of this one.
	Declared bool `json:"declared"`
	// Delete is the address at which the DELETE method removes the version.
	Delete string `json:"delete"`
}

// Answer is what is known of one plane.
type Answer struct {
	Plane    string    `json:"plane"`
	Workers  int       `json:"workers"` // how many were asked about
	Carriers []Carrier `json:"carriers"`
	// Problems say why the answer is not complete.
	Problems []string `json:"problems"`
}

// Search asks every plane for the versions that carry the secret with this digest.
// A plane that does not answer hides no other one. told, if not nil, is called
// with what is being done.
func Search(ctx context.Context, planes []Plane, digest string, told func(text string)) []Answer {
	answers := make([]Answer, len(planes))
	var all sync.WaitGroup
	var mu sync.Mutex
	tell := func(format string, args ...any) {
		if told != nil {
			mu.Lock()
			defer mu.Unlock()
			told(fmt.Sprintf(format, args...))
		}
	}
	for i, p := range planes {
		all.Go(func() { answers[i] = p.search(ctx, digest, tell) })
	}
	all.Wait()
	return answers
}

func (p Plane) search(ctx context.Context, digest string, tell func(string, ...any)) Answer {
	a := Answer{Plane: p.Name, Carriers: []Carrier{}, Problems: []string{}}
	client, err := p.Open(ctx)
	if err != nil {
		a.Problems = append(a.Problems, err.Error())
		return a
	}
	defer client.Close()
	workers, err := client.ListWorkers(ctx)
	if err != nil {
		a.Problems = append(a.Problems, err.Error())
		return a
	}
	a.Workers = len(workers)
	tell("asking plane %s about %d Workers", p.Name, len(workers))
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, w := range workers {
		group.Go(func() error {
			found, err := p.versions(ctx, client, w, digest)
			mu.Lock()
			defer mu.Unlock()
			a.Carriers = append(a.Carriers, found...)
			if err != nil {
				a.Problems = append(a.Problems, err.Error())
			}
			return nil
		})
	}
	_ = group.Wait() // errors are part of the answer
	slices.SortFunc(a.Carriers, func(x, y Carrier) int {
		return cmp.Or(cmp.Compare(x.Worker, y.Worker), cmp.Compare(y.Number, x.Number), cmp.Compare(x.VersionID, y.VersionID))
	})
	slices.Sort(a.Problems)
	return a
}

// versions are the versions of one Worker that carry the secret, as far as they
// can be deployed: others can never be live again.
func (p Plane) versions(ctx context.Context, client *cloudflare.Client, w cloudflare.Worker, digest string) ([]Carrier, error) {
	all, err := client.DeployableVersions(ctx, w.Name)
	if cloudflare.IsNotFound(err) {
		return nil, nil // it was deleted meanwhile
	}
	if err != nil {
		return nil, err
	}
	var found []Carrier
	// Which version a change of secrets was made on is not told, so from the first
	// carrier on it may have been one.
	inherited := false
	for _, v := range slices.Backward(all) {
		marking := cloudflare.ParseMarker(v.Annotations[cloudflare.AnnotationMessage])
		declared := marking.HasSecret(digest)
		inherited = inherited || declared
		if declared || inherited && v.ChangesSecrets() {
			found = append(found, Carrier{
				Plane: p.Name, Worker: w.Name, VersionID: v.ID, Number: v.Number, CreatedOn: v.CreatedOn, Author: v.AuthorEmail, Declared: declared,
				Delete: fmt.Sprintf("%saccounts/%s/workers/workers/%s/versions/%s", client.BaseURL(), client.AccountID(), w.ID, v.ID),
			})
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	live, err := client.LiveDeployment(ctx, w.Name)
	if err != nil && !cloudflare.IsNotFound(err) {
		return found, fmt.Errorf("what is live of Worker %q is not known: %w", w.Name, err)
	}
	if live != nil {
		for i := range found {
			for _, s := range live.Versions {
				if s.VersionID == found[i].VersionID {
					found[i].Live = s.Percentage
				}
			}
		}
	}
	return found, nil
}
