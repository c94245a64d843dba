// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

// digestOf is a secret's digest.
func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// uploadSecret makes a version that declares the secret TOKEN, as the provider does.
func (s *stand) uploadSecret(secret string) string {
	s.t.Helper()
	return s.uploadSecrets(map[string]string{"TOKEN": secret})
}

// uploadSecrets makes a version that declares these secrets, by name.
func (s *stand) uploadSecrets(secrets map[string]string) string {
	s.t.Helper()
	marking, bindings := cloudflare.Marking{Marker: cloudflare.DigestMarker(sha256.Sum256(fmt.Append(nil, secrets)))}, []map[string]string{}
	for name, secret := range secrets {
		marking.Secrets = append(marking.Secrets, cloudflare.SecretPrefix(digestOf(secret)))
		bindings = append(bindings, map[string]string{"type": "secret_text", "name": name, "text": secret})
	}
	body, err := json.Marshal(map[string]any{
		"main_module": "index.js", "compatibility_date": "2026-01-01",
		"annotations": map[string]string{"workers/message": marking.String()},
		"bindings":    bindings,
		"modules":     []map[string]string{{"name": "index.js", "content_type": "application/javascript+module", "content_base64": "ZXhwb3J0IGRlZmF1bHQge30="}},
	})
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	v, err := s.somebody().CreateVersion(s.test.Context(), s.worker, cloudflare.VersionUpload{Body: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}})
	if err != nil {
		s.t.Fatalf("uploading a version: %v", err)
	}
	return v.ID
}

// refusing is a rollout whose webhook says no.
func refusing(t *testing.T) tfproto.Object {
	t.Helper()
	const secret = "correct-horse-battery-staple-signs"
	a := newApprover(t, secret, `{"verdict": "fail"}`)
	return tfproto.Object{"rollout": map[string]any{
		"steps": []any{step(10, "1ms", "release")},
		"gates": map[string]any{"release": map[string]any{"webhook": map[string]any{"url": a.URL, "signing_secret": map[string]any{"value_wo": secret}}}},
	}}
}

func TestARotatedSecretGoesBackWithItsRelease(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	before, after := s.uploadSecret("the-first-value"), s.uploadSecret("the-second-value")
	state := s.applied(tfproto.State{Type: kind}, s.config(before))
	s.restart()
	plan := s.plan(s.read(state), s.config(after, refusing(t)))
	state, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "Rollout was rolled back") {
		t.Fatalf("the rollout: %s", d)
	}
	if diff := cmp.Diff(only(before), state.Object["active_versions"]); diff != "" {
		t.Fatalf("after the rollback (-want +got):\n%s", diff)
	}
	// By hand a plane refuses to go back over a changed secret, unless it is meant.
	state = s.applied(state, s.config(after, tfproto.Object{"retry_rejected": after}))
	s.restart()
	_, d = s.provider.Plan(t.Context(), t, s.read(state), s.config(after, tfproto.Object{"rollback_to": "previous"}))
	for _, part := range []string{"Rollback over a change of secrets", before, after, "10220", `rollback_secrets = "current"`, "allow_changed_secrets = true"} {
		if !d.HasError() || !strings.Contains(d.String(), part) {
			t.Errorf("a plan over a changed secret lacks %q: %s", part, d)
		}
	}
	meant := s.config(after, tfproto.Object{"rollback_to": "previous", "allow_changed_secrets": true})
	state = s.applied(state, meant)
	if diff := cmp.Diff(only(before), state.Object["active_versions"]); diff != "" {
		t.Errorf("after the rollback that is meant (-want +got):\n%s", diff)
	}
}

func TestAVersionWithALeakedSecretIsNoTarget(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	leaked, sound := s.uploadSecret("leaked"), s.uploadSecret("sound")
	burned := tfproto.Object{"burned_secrets": []any{digestOf("leaked")}}
	state := s.applied(tfproto.State{Type: kind}, s.config(leaked))
	// A rollout cannot go back to it: it holds.
	s.restart()
	config := s.config(sound, refusing(t), burned)
	plan := s.plan(s.read(state), config)
	held, d := s.provider.Apply(t.Context(), t, plan)
	for _, part := range []string{"Rollout cannot go back", "Rollout is held", leaked, digestOf("leaked")} {
		if !strings.Contains(d.String(), part) {
			t.Errorf("the diagnostic lacks %q:\n%s", part, d)
		}
	}
	if diff := cmp.Diff(map[string]any{sound: 10.0, leaked: 90.0}, held.Object["active_versions"]); diff != "" {
		t.Errorf("what is held (-want +got):\n%s", diff)
	}
	s.wantKept(held, config, "Version is rejected", "release")
	// Neither does anybody go back to it by hand, or deploy it.
	state = s.applied(held, s.config(sound, burned, tfproto.Object{"retry_rejected": sound}))
	for at, config := range map[string]tfproto.Object{
		"rollback_to": s.config(sound, burned, tfproto.Object{"rollback_to": leaked}),
		"version_id":  s.config(leaked, burned),
	} {
		s.restart()
		_, d := s.provider.Plan(t.Context(), t, s.read(state), config)
		if !d.HasError() || !strings.Contains(d.String(), "Version has a leaked secret") || !strings.Contains(d.String(), at) {
			t.Errorf("%s: %s", at, d)
		}
	}
}

func TestARollbackWithTodaysSecretsIsANewVersionOfTheOldCode(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	before, after := s.uploadSecret("the-first-value"), s.uploadSecret("the-second-value")
	state := s.applied(tfproto.State{Type: kind}, s.config(before))
	state = s.applied(state, s.config(after))
	back := s.config(after, tfproto.Object{"rollback_to": "previous", "rollback_secrets": "current"})
	state = s.applied(state, back)
	made, _ := state.Object["rollback_version_id"].(string)
	if made == before || made == after || !cmp.Equal(any(only(made)), state.Object["active_versions"]) {
		t.Fatalf("it went back to %q; live is %v", made, state.Object["active_versions"])
	}
	s.wantKept(state, back)
	values := func(id string) map[string]map[string]json.RawMessage {
		secrets, err := s.Registry.Secrets(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return secrets
	}
	if diff := cmp.Diff(values(after), values(made)); diff != "" {
		t.Error("its secrets are not those that were live") // the values are nobody's business
	}
	// Once more, after the state was lost: the version that was made is found.
	count := len(s.versions())
	s.applied(tfproto.State{Type: kind}, s.config(after, tfproto.Object{"rollback_to": made}))
	s.foreign("forward", cloudflare.Share{VersionID: after, Percentage: 100})
	s.applied(tfproto.State{Type: kind}, s.config(after, tfproto.Object{"rollback_to": before, "rollback_secrets": "current", "overwrite_unseen": true}))
	if got := len(s.versions()); got != count {
		t.Errorf("there are %d versions, want %d", got, count)
	}
}

// A rollback with today's secrets makes a version. It MUST neither carry a leaked secret
// along nor hide which secrets it has.
func TestARollbackWithTodaysSecretsTakesNoLeakedOneAlong(t *testing.T) {
	t.Parallel()
	burned := tfproto.Object{"burned_secrets": []any{digestOf("leaked")}}
	for name, tt := range map[string]struct {
		old, now map[string]string
		refused  bool
		declared []string // of what is made, if it is
	}{
		"only the old version has it":   {map[string]string{"OLD": "leaked"}, map[string]string{"NEW": "sound"}, true, nil},
		"today's secret is leaked":      {map[string]string{"TOKEN": "first"}, map[string]string{"TOKEN": "leaked"}, true, nil},
		"it is rotated":                 {map[string]string{"TOKEN": "leaked"}, map[string]string{"TOKEN": "sound"}, false, []string{"sound"}},
		"the old version has no secret": {nil, map[string]string{"NEW": "leaked"}, false, nil},
		"another one is kept":           {map[string]string{"OLD": "kept", "TOKEN": "first"}, map[string]string{"TOKEN": "sound"}, false, []string{"first", "kept", "sound"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			old, now := s.uploadSecrets(tt.old), s.uploadSecrets(tt.now)
			state := s.applied(s.applied(tfproto.State{Type: kind}, s.config(old)), s.config(now))
			back := tfproto.Object{"rollback_to": old, "rollback_secrets": "current", "allow_changed_secrets": true}
			count, before := len(s.versions()), s.live().ID
			if !tt.refused {
				state = s.applied(state, s.config(now, back, burned))
				made, err := s.somebody().Version(t.Context(), "api", state.Object["rollback_version_id"].(string))
				if err != nil {
					t.Fatal(err)
				}
				want := []string{}
				for _, secret := range tt.declared {
					want = append(want, cloudflare.SecretPrefix(digestOf(secret)))
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, append([]string{}, made.Marking().Secrets...)); diff != "" {
					t.Errorf("what the version declares (-want +got):\n%s", diff)
				}
				return
			}
			s.restart()
			state = s.read(state)
			refused := func(when string, d tfproto.Diagnostics) {
				t.Helper()
				for _, part := range []string{"Version has a leaked secret", "at rollback_to", digestOf("leaked")} {
					if !d.HasError() || !strings.Contains(d.String(), part) {
						t.Errorf("%s: the diagnostic lacks %q:\n%s", when, part, d)
					}
				}
				if len(s.versions()) != count || s.live().ID != before {
					t.Errorf("%s: there are %d versions, and %v is live", when, len(s.versions()), s.live().Versions)
				}
			}
			_, d := s.provider.Plan(t.Context(), t, state, s.config(now, back, burned))
			refused("at plan", d)
			// What the digest was at plan is not known: the apply refuses it.
			plan := s.plan(state, s.config(now, back))
			plan.Object["burned_secrets"] = burned["burned_secrets"]
			_, d = s.provider.Apply(t.Context(), t, plan)
			refused("at apply", d)
		})
	}
}

func TestAVersionOfThisRunWithALeakedSecretIsNotDeployed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	state := s.applied(tfproto.State{Type: kind}, s.config(s.v1))
	burned := tfproto.Object{"burned_secrets": []any{digestOf("leaked")}}
	s.restart()
	state = s.read(state)
	plan := s.plan(state, tfproto.Object{"worker": "api", "version_id": tfproto.Unknown, "burned_secrets": burned["burned_secrets"]})
	plan.Object["version_id"] = s.uploadSecret("leaked")
	_, d := s.provider.Apply(t.Context(), t, plan)
	if !d.HasError() || !strings.Contains(d.String(), "Version has a leaked secret") || s.live().Only() != s.v1 {
		t.Errorf("live is %v, and the run says: %s", s.live().Versions, d)
	}
}

// Before a rollout begins, one of two other versions has to go: it is the leaked one.
func TestARolloutDoesNotBeginFromALeakedSecret(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	leaked, sound := s.uploadSecret("leaked"), s.uploadSecret("sound")
	next := s.upload(s.worker, "three")
	state := s.applied(tfproto.State{Type: kind}, s.config(leaked))
	from := s.foreign("a canary", cloudflare.Share{VersionID: leaked, Percentage: 90}, cloudflare.Share{VersionID: sound, Percentage: 10})
	s.applied(state, s.config(next, baking("1ms", 50), tfproto.Object{"burned_secrets": []any{digestOf("leaked")}, "allow_changed_secrets": true}))
	for _, d := range s.history() { // newest first
		if d.ID == from {
			break
		}
		if d.Serves(leaked) {
			t.Errorf("a deployment of the rollout serves the version with the leaked secret: %v", d.Versions)
		}
	}
	if s.live().Only() != next {
		t.Errorf("live is %v", s.live().Versions)
	}
}
