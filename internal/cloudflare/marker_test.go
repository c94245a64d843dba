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
		m := Marking{
			Marker: DigestMarker(sha256.Sum256([]byte(text.Draw(t, "digest")))),
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
	m := Marking{
		Marker:  DeploymentMarker([]Share{{"a", 100}}),
		Run:     Run{ID: "run-1", Workspace: "shop", Commit: strings.Repeat("c", 40)},
		Message: strings.Repeat("ü", 700),
	}
	s := m.String()
	if len(s) > MaxMessageBytes || !utf8.ValidString(s) {
		t.Fatalf("message has %d bytes, valid UTF-8: %v", len(s), utf8.ValidString(s))
	}
	for _, n := range []int{50, 100, len(s)} {
		if got := ParseMarker(s[:n]).Marker; got != m.Marker {
			t.Errorf("cut to %d bytes the marker is %q, want %q", n, got, m.Marker)
		}
	}
	if got := ParseMarker(s).Run; got != m.Run {
		t.Errorf("run is %+v, want %+v", got, m.Run)
	}
}

func TestAForeignMessageIsAllMessage(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "hello", "hb1:", "hb1:tooshort", "hb1:0123456789012345678901x", "hb1:!!!!!!!!!!!!!!!!!!!!!! run=1", "hb2:0123456789012345678901",
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
	if len(a) != markerLen {
		t.Errorf("marker %q has %d bytes, want %d", a, len(a), markerLen)
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
	f.Fuzz(func(t *testing.T, s string) {
		m := ParseMarker(s)
		if m.Marker == "" && m.Message != s {
			t.Errorf("a foreign message was changed from %q to %q", s, m.Message)
		}
	})
}
