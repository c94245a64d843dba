// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARunIsToldByItsEnvironment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		vars map[string]string
		want Environment
	}{
		"a laptop": {nil, Environment{Actor: Actor{Kind: "person"}, Run: Run{System: "local"}}},
		"CI=false": {map[string]string{"CI": "false"}, Environment{Actor: Actor{Kind: "person"}, Run: Run{System: "local"}}},
		"HCP within somebody's CI": {
			map[string]string{"CI": "true", "TFC_RUN_ID": "run-1", "TFC_WORKSPACE_NAME": "prod", "TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA": "c0ffee", "TFC_CONFIGURATION_VERSION_GIT_BRANCH": "main"},
			Environment{Actor{Kind: "ci"}, Run{System: "hcp", ID: "run-1", Workspace: "prod", Commit: "c0ffee", Branch: "main"}, true},
		},
		"GitHub": {
			map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "c0ffee", "GITHUB_REF_NAME": "main", "GITHUB_ACTOR": "eve"},
			Environment{Actor{Kind: "ci", Account: "eve"}, Run{System: "github", ID: "7", Workspace: "o/r", Commit: "c0ffee", Branch: "main"}, true},
		},
		"GitLab": {
			map[string]string{"CI": "true", "GITLAB_CI": "true", "CI_PIPELINE_ID": "7", "CI_PROJECT_PATH": "o/r", "CI_COMMIT_SHA": "c0ffee", "CI_COMMIT_REF_NAME": "main", "GITLAB_USER_LOGIN": "eve", "GITLAB_USER_EMAIL": "eve@example.com"},
			Environment{Actor{Kind: "ci", Account: "eve", Email: "eve@example.com"}, Run{System: "gitlab", ID: "7", Workspace: "o/r", Commit: "c0ffee", Branch: "main"}, true},
		},
		"another CI": {map[string]string{"CI": "1"}, Environment{Actor{Kind: "ci"}, Run{System: "ci"}, true}},
	} {
		if diff := cmp.Diff(test.want, Detect(func(name string) string { return test.vars[name] })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestARequiredLedgerMayNotGoWithTheRunsDisk(t *testing.T) {
	t.Parallel()
	laptop, ci := Environment{}, Environment{Run: Run{System: "hcp"}, ThrownAway: true}
	if err := ci.CheckDir("./audit", true); err == nil || !strings.Contains(err.Error(), "name a plane, or an absolute path") {
		t.Errorf("a relative ledger in CI: %v", err)
	}
	for _, err := range []error{ci.CheckDir("./audit", false), ci.CheckDir("/srv/audit", true), laptop.CheckDir("audit", true)} {
		if err != nil {
			t.Error(err)
		}
	}
}
