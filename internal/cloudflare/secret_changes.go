// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// What workers/triggered_by says of versions and deployments.
const (
	triggeredBySecret   = "secret"
	triggeredByUpload   = "upload"
	triggeredByRollback = "rollback"
)

// SecretChanges is how the secrets of a version differ from those of one that was
// live before, and who changed them. It never holds a value.
type SecretChanges struct {
	// Versions are the versions that changes of secrets have made since, newest
	// first. The first one is live.
	Versions []Version
	// Before is the id of the version that was live before.
	Before string

	// Names, sorted. Added and Removed are certain. Changed have got another value,
	// as far as the versions' messages tell.
	Added, Removed, Changed []string
	// Suspects may have got another value: some version does not tell in which
	// secrets it differs. Empty if all do.
	Suspects []string

	blind bool // what was live before is gone and could not be compared
}

// OneIsChanged reports whether one of the suspects, at least, has got another
// value: nothing else explains the version.
func (s *SecretChanges) OneIsChanged() bool {
	return !s.blind && len(s.Versions) == 1 && len(s.Suspects) > 0 && len(s.Added)+len(s.Removed)+len(s.Changed) == 0
}

// SecretChanges looks for changes of secrets by somebody else that made what is live,
// where the versions before were live: it is nil if there were none. The newest one
// of these is compared.
//
// It asks nothing if live serves nothing new, or says itself that it is something
// else: a deployment of Hybridge's, an upload, a rollback. Otherwise it asks for the
// list of versions, which is shared, and for two versions only after that has shown
// a change of secrets.
func (c *Client) SecretChanges(ctx context.Context, worker string, live Deployment, before []string) (*SecretChanges, error) {
	var fresh []string
	for _, s := range live.Versions {
		if !slices.Contains(before, s.VersionID) {
			fresh = append(fresh, s.VersionID)
		}
	}
	trigger := live.Annotations[AnnotationTriggeredBy]
	if len(fresh) == 0 || len(before) == 0 || live.Marking().Marker != "" || trigger == triggeredByUpload || trigger == triggeredByRollback {
		return nil, nil
	}
	all, err := c.versionsWith(ctx, worker, fresh)
	if err != nil {
		return nil, err
	}
	newest := slices.IndexFunc(all, func(v Version) bool { return slices.Contains(fresh, v.ID) && v.changesSecrets() })
	base := slices.IndexFunc(all, func(v Version) bool { return slices.Contains(before, v.ID) })
	if newest < 0 || base >= 0 && base < newest { // an old version that is live again is no change of secrets
		return nil, nil
	}
	is, err := c.Version(ctx, worker, all[newest].ID)
	if err != nil {
		return nil, err
	}
	s := &SecretChanges{Before: before[0]} // if it is too old to be listed
	if base >= 0 {
		s.Before = all[base].ID
	}
	was, err := c.Version(ctx, worker, s.Before)
	if IsNotFound(err) {
		s.blind = true
		was = &Version{Number: is.Number - 1, Bindings: is.Bindings}
	} else if err != nil {
		return nil, err
	}
	if was.Number > is.Number {
		return nil, nil
	}
	for _, v := range all[newest:] {
		if v.Number > was.Number && v.changesSecrets() {
			s.Versions = append(s.Versions, v)
		}
	}
	s.compare(was.secrets(), is.secrets())
	return s, nil
}

// versionsWith is DeployableVersions, asked anew if one of ids is missing: it may be
// younger than the list.
func (c *Client) versionsWith(ctx context.Context, worker string, ids []string) ([]Version, error) {
	all, err := c.DeployableVersions(ctx, worker)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(v Version) bool { return v.ID == id }) {
			name, err := c.workerName(ctx, worker)
			if err != nil {
				return nil, err
			}
			c.cache.uploadedTo(name, "", 0)
			return c.DeployableVersions(ctx, worker)
		}
	}
	return all, nil
}

func (v Version) changesSecrets() bool {
	return v.Annotations[AnnotationTriggeredBy] == triggeredBySecret
}

// ChangesSecrets reports whether the version was made by changing secrets of the
// one before, and so carries the others on, which its message does not tell.
func (v Version) ChangesSecrets() bool {
	message := v.Annotations[AnnotationMessage]
	return v.changesSecrets() || slices.ContainsFunc(secretVerbs[:], func(verb string) bool { return strings.HasPrefix(message, verb) })
}

// secrets are the names of the version's secrets.
func (v Version) secrets() map[string]bool {
	names := map[string]bool{}
	for name, kind := range v.BindingKinds() {
		if kind == "secret_text" || kind == "secret_key" {
			names[name] = true
		}
	}
	return names
}

// compare fills in the names.
func (s *SecretChanges) compare(was, is map[string]bool) {
	told, complete := map[string]bool{}, true
	for _, v := range s.Versions {
		names, all := secretsInMessage(v.Annotations[AnnotationMessage])
		for _, name := range names {
			told[name] = true
		}
		complete = complete && all
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		switch {
		case !was[name]:
			s.Added = append(s.Added, name)
		case told[name]:
			s.Changed = append(s.Changed, name)
		case !complete:
			s.Suspects = append(s.Suspects, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if !is[name] {
			s.Removed = append(s.Removed, name)
		}
	}
	if s.OneIsChanged() && len(s.Suspects) == 1 {
		s.Changed, s.Suspects = s.Suspects, nil
	}
}

// secretVerbs begin a message of `wrangler versions secret`.
var secretVerbs = [...]string{`Updated secret "`, `Deleted secret "`}

// secretsInMessage takes the names of secrets out of the message of a version that
// a change of secrets made, and reports whether these are all. Two forms are known.
// A self-hosted plane writes, with names as in the path of a URL,
//
//	Secrets changed: A, B; added: C; removed: D; and 12 more
//
// and `wrangler versions secret`
//
//	Updated secret "A"
//	Deleted secret "A"
//
// Anybody may write such a message, so names are to be compared with the bindings.
func secretsInMessage(message string) (names []string, all bool) {
	for _, verb := range secretVerbs {
		if rest, ok := strings.CutPrefix(message, verb); ok {
			if name, ok := strings.CutSuffix(rest, `"`); ok && name != "" {
				return []string{name}, true
			}
			return nil, false
		}
	}
	rest, ok := strings.CutPrefix(message, "Secrets ")
	if !ok {
		return nil, false
	}
	all = true
	for part := range strings.SplitSeq(rest, "; ") {
		label, list, labelled := strings.Cut(part, ": ")
		if !labelled || !slices.Contains([]string{"changed", "added", "removed"}, label) {
			all = false // what was cut off, or something of a later form
			continue
		}
		for name := range strings.SplitSeq(list, ", ") {
			plain, err := url.PathUnescape(name)
			if err != nil || plain == "" {
				all = false
				continue
			}
			names = append(names, plain)
		}
	}
	return names, all
}
