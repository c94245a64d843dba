// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAMessageIsReadBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[ -~äß|=]{0,60}`)
	rapid.Check(t, func(t *rapid.T) {
		marker := DigestMarker(sha256.Sum256([]byte(text.Draw(t, "digest"))))
		if rapid.Bool().Draw(t, "disposable") {
			marker = DisposableMarker(marker)
		}
		m := Marking{
			Marker: marker,
			Run: Run{
				ID:        text.Draw(t, "run"),
				Workspace: text.Draw(t, "workspace"),
				Commit:    text.Draw(t, "commit"),
			},
			Rollout: RolloutMark{
				ID:      rapid.StringMatching(`([0-9a-f]{8})?`).Draw(t, "rollout"),
				Share:   rapid.SampledFrom([]string{"", "0", "0.5", "100"}).Draw(t, "share"),
				Rejects: rapid.StringMatching(`([0-9a-f]{8}-[0-9a-f]{4})?`).Draw(t, "rejects"),
				Gate:    rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "gate"),
				Back:    rapid.SampledFrom([]string{"", "previous"}).Draw(t, "back"),
			},
			Secrets: prefixes(rapid.IntRange(0, 12).Draw(t, "secrets")),
			Message: text.Draw(t, "message"),
		}
		if diff := cmp.Diff(m, ParseMarker(m.String())); diff != "" {
			t.Fatalf("%q is read back differently (-written +read):\n%s", m.String(), diff)
		}
	})
}

// digestOf is the digest of the n-th secret.
func digestOf(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, "secret ", n))
	return hex.EncodeToString(sum[:])
}

// prefixes are those of the first n secrets, as a marking has them.
func prefixes(n int) []string {
	var out []string
	for i := range n {
		out = append(out, SecretPrefix(digestOf(i)))
	}
	slices.Sort(out)
	return out
}

func TestAMessageTellsWhichSecretsAVersionCarries(t *testing.T) {
	t.Parallel()
	plain := DigestMarker(sha256.Sum256([]byte("x")))
	rapid.Check(t, func(t *rapid.T) {
		carried := rapid.IntRange(0, maxSecrets).Draw(t, "carried")
		m := Marking{
			Marker:  rapid.SampledFrom([]string{plain, DisposableMarker(plain)}).Draw(t, "marker"),
			Secrets: prefixes(carried),
			Message: strings.Repeat(rapid.StringMatching(`(sec=|run=|\| |)[ -~ü]{0,60}`).Draw(t, "message"), rapid.IntRange(1, 30).Draw(t, "times")),
		}
		if rapid.Bool().Draw(t, "in a run") {
			long := rapid.StringMatching(`[a-zü]{0,200}`)
			m.Run = Run{ID: long.Draw(t, "run"), Workspace: long.Draw(t, "workspace"), Commit: long.Draw(t, "commit")}
		}
		s := m.String()
		if len(s) > MaxMessageBytes {
			t.Fatalf("the message has %d bytes", len(s))
		}
		read := ParseMarker(s)
		if read.Marker != m.Marker || !strings.HasPrefix(m.Message, read.Message) {
			t.Errorf("%q has the marker %q and the message %q", s, read.Marker, read.Message)
		}
		for i := range maxSecrets {
			if read.HasSecret(digestOf(i)) != (i < carried) {
				t.Errorf("with %d secrets, whether it carries number %d is said to be %v", carried, i, read.HasSecret(digestOf(i)))
			}
		}
	})
}

func TestSecretsAreToldInAFormOfFixedWidth(t *testing.T) {
	t.Parallel()
	marker := DigestMarker(sha256.Sum256([]byte("x")))
	a, b := SecretPrefix(digestOf(1)), SecretPrefix(digestOf(2))
	if len(a) != secretPrefixLen || a == b {
		t.Fatalf("prefixes are %q and %q", a, b)
	}
	// In any order and twice: it is written in one form.
	first, second := min(a, b), max(a, b)
	m := Marking{Marker: marker, Run: Run{ID: "1", Commit: "c"}, Secrets: []string{second, first, second}, Message: "sec=mine"}
	if got, want := m.String(), marker+" run=1 sha=c sec="+first+second+" | sec=mine"; got != want {
		t.Errorf("written as %q, want %q", got, want)
	}
	for _, none := range []string{"", "abc", strings.Repeat("z", 64), digestOf(1)[2:], digestOf(1) + "00"} {
		if got := SecretPrefix(none); got != "" || (Marking{Secrets: []string{""}}).HasSecret(none) {
			t.Errorf("%q has the prefix %q", none, got)
		}
	}
	// More than a Worker can have: the first ones are told, none is cut.
	many := ParseMarker(Marking{Marker: marker, Secrets: prefixes(200)}.String())
	if diff := cmp.Diff(prefixes(200)[:maxSecrets], many.Secrets); diff != "" {
		t.Errorf("of 200 secrets (-want +got):\n%s", diff)
	}
	// What was written before secrets were told, and what only looks like them.
	for _, message := range []string{"hello", "sec", "sec=", "sec=short", "sec=abcdef!", "sec=äbcde hello", "hello sec=abcdef"} {
		if diff := cmp.Diff(Marking{Marker: marker, Run: Run{ID: "1"}, Message: message}, ParseMarker(marker+" run=1 "+message)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", message, diff)
		}
	}
}

func TestTheMarkerSurvivesTruncation(t *testing.T) {
	t.Parallel()
	plain := DeploymentMarker([]Share{{"a", 100}})
	for _, marker := range []string{plain, DisposableMarker(plain)} {
		m := Marking{
			Marker:  marker,
			Run:     Run{ID: "run-1", Workspace: "shop", Commit: strings.Repeat("c", 40)},
			Message: strings.Repeat("ü", 700),
		}
		s := m.String()
		if len(s) > MaxMessageBytes || !utf8.ValidString(s) {
			t.Fatalf("message has %d bytes, valid UTF-8: %v", len(s), utf8.ValidString(s))
		}
		for _, n := range []int{50, 100, len(s)} {
			if got := ParseMarker(s[:n]).Marker; got != marker {
				t.Errorf("cut to %d bytes the marker is %q, want %q", n, got, marker)
			}
		}
		if got := ParseMarker(s).Run; got != m.Run {
			t.Errorf("run is %+v, want %+v", got, m.Run)
		}
	}
}

func TestADisposableMarkerIsAnotherOneOfTheSameDigest(t *testing.T) {
	t.Parallel()
	plain := DigestMarker(sha256.Sum256([]byte("x")))
	disposable := DisposableMarker(plain)
	if len(plain) != 26 || disposable != "hb1d:"+plain[len("hb1:"):] {
		t.Errorf("markers are %q and %q", plain, disposable)
	}
	// What was written before there were two forms is read as it was.
	if got := ParseMarker(plain + " hello"); got.Marker != plain || got.Message != "hello" {
		t.Errorf("read as %+v", got)
	}
	for marker, want := range map[string][]string{plain: {plain}, disposable: {plain, disposable}} {
		if diff := cmp.Diff(want, adoptable(marker)); diff != "" {
			t.Errorf("adoptable for %s (-want +got):\n%s", marker, diff)
		}
	}
}

func TestAForeignMessageIsAllMessage(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "hello", "hb1:", "hb1:tooshort", "hb1:0123456789012345678901x", "hb1:!!!!!!!!!!!!!!!!!!!!!! run=1", "hb2:0123456789012345678901",
		"hb1d:", "hb1d:012345678901234567890", "hb1d:0123456789012345678901x", "hb1d:!!!!!!!!!!!!!!!!!!!!!! run=1", "hb1:d0123456789012345678901",
	} {
		if diff := cmp.Diff(Marking{Message: s}, ParseMarker(s)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", s, diff)
		}
	}
}

func TestADeploymentsMarkerDependsOnSharesAndNotOnTheirOrder(t *testing.T) {
	t.Parallel()
	a := DeploymentMarker([]Share{{"v1", 90}, {"v2", 10}})
	if b := DeploymentMarker([]Share{{"v2", 10}, {"v1", 90}}); a != b {
		t.Errorf("order matters: %s, %s", a, b)
	}
	for _, other := range [][]Share{{{"v1", 10}, {"v2", 90}}, {{"v1", 90}}, {{"v1", 90.5}, {"v2", 9.5}}} {
		if DeploymentMarker(other) == a {
			t.Errorf("%v has the same marker", other)
		}
	}
	if want := len(markerPrefix) + digestLen; len(a) != want {
		t.Errorf("marker %q has %d bytes, want %d", a, len(a), want)
	}
}

func TestTheRunIsFoundInTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		want Run
	}{
		"laptop": {map[string]string{"GITHUB_SHA": "stray"}, Run{}},
		"HCP Terraform": {
			map[string]string{"TFC_RUN_ID": "run-1", "TFC_WORKSPACE_NAME": "shop", "TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA": "abc"},
			Run{"run-1", "shop", "abc"},
		},
		"GitHub Actions": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "abc"},
			Run{"7", "o/r", "abc"},
		},
		"GitLab CI with a workspace": {
			map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_ID": "9", "CI_PROJECT_PATH": "g/p", "CI_COMMIT_SHA": "abc", "TF_WORKSPACE": "prod"},
			Run{"9", "prod", "abc"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, RunFromEnvironment(func(k string) string { return test.env[k] })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseMarker(f *testing.F) {
	f.Add("hb1:0123456789012345678901 run=1 ws=a%20b sha=c | hello")
	f.Add("hb1:0123456789012345678901")
	f.Add("hb1d:0123456789012345678901 | hello")
	f.Add("hb1:0123456789012345678901 sha=c sec=abcdefghijkl hello")
	f.Fuzz(func(t *testing.T, s string) {
		m := ParseMarker(s)
		if m.Marker == "" && m.Message != s {
			t.Errorf("a foreign message was changed from %q to %q", s, m.Message)
		}
	})
}
