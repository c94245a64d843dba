// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"crypto/sha256"
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
			Message: text.Draw(t, "message"),
		}
		if diff := cmp.Diff(m, ParseMarker(m.String())); diff != "" {
			t.Fatalf("%q is read back differently (-written +read):\n%s", m.String(), diff)
		}
	})
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
	f.Fuzz(func(t *testing.T, s string) {
		m := ParseMarker(s)
		if m.Marker == "" && m.Message != s {
			t.Errorf("a foreign message was changed from %q to %q", s, m.Message)
		}
	})
}
