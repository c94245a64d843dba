// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"fmt"
	"path/filepath"
)

// Environment is what the variables of a process tell about the run that it is part of.
type Environment struct {
	Actor Actor
	Run   Run
	// ThrownAway: the disk of the run goes with it.
	ThrownAway bool
}

// system is how a runner names things in its environment.
type system struct {
	name   string
	marker string // set in every run
	run    Run    // names of variables
	actor  Actor
}

// systems are those that are known; the first whose marker is set counts. HCP's agents
// may themselves run in somebody's CI.
var systems = []system{
	{"hcp", "TFC_RUN_ID", Run{
		ID: "TFC_RUN_ID", Workspace: "TFC_WORKSPACE_NAME",
		Commit: "TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA", Branch: "TFC_CONFIGURATION_VERSION_GIT_BRANCH",
	}, Actor{}},
	{"github", "GITHUB_ACTIONS", Run{ID: "GITHUB_RUN_ID", Workspace: "GITHUB_REPOSITORY", Commit: "GITHUB_SHA", Branch: "GITHUB_REF_NAME"},
		Actor{Account: "GITHUB_ACTOR"}},
	{"gitlab", "GITLAB_CI", Run{ID: "CI_PIPELINE_ID", Workspace: "CI_PROJECT_PATH", Commit: "CI_COMMIT_SHA", Branch: "CI_COMMIT_REF_NAME"},
		Actor{Account: "GITLAB_USER_LOGIN", Email: "GITLAB_USER_EMAIL", Name: "GITLAB_USER_NAME"}},
	{"ci", "CI", Run{}, Actor{}},
}

// Detect reads the environment of a run. Whoever sets it may write what he likes: it
// tells what a run says about itself, and proves nothing.
func Detect(getenv func(string) string) Environment {
	for _, s := range systems {
		if v := getenv(s.marker); v == "" || v == "false" {
			continue
		}
		value := func(name string) string {
			if name == "" {
				return ""
			}
			return getenv(name)
		}
		return Environment{
			Actor: Actor{Kind: "ci", Name: value(s.actor.Name), Email: value(s.actor.Email), Account: value(s.actor.Account)},
			Run: Run{
				System: s.name, ID: value(s.run.ID), Workspace: value(s.run.Workspace),
				Commit: value(s.run.Commit), Branch: value(s.run.Branch),
			},
			ThrownAway: true,
		}
	}
	return Environment{Actor: Actor{Kind: "person"}, Run: Run{System: "local"}}
}

// CheckDir refuses a file ledger that a run needs and that goes with the run's disk.
func (e Environment) CheckDir(dir string, required bool) error {
	if !required || !e.ThrownAway || filepath.IsAbs(dir) {
		return nil
	}
	return fmt.Errorf("the audit ledger %q is required and lies below the working directory of a run (%s), which is thrown away: name a plane, or an absolute path on a disk that stays", dir, e.Run.System)
}
