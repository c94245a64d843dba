// SPDX-License-Identifier: MPL-2.0

// Package stage sets up what a user has: a directory with configurations, a
// real terraform or tofu that finds the provider in a filesystem mirror, and a
// real `hybridge dev`. The demo and the tests of the examples play on it.
//
// Everything that the programs write lies below the stage's directory, their
// temporary files included, so whoever removes it has removed everything.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ProviderVersion is the version that the mirror offers the provider as. It is
// not a pre-release, because `init` takes those only when told to by name.
const ProviderVersion = "0.1.0"

// Programs are the paths of what runs on a stage.
type Programs struct {
	CLI      string // terraform or tofu, 1.11 or newer
	Provider string // terraform-provider-hybridge
	Hybridge string
	Workerd  string
}

// Locate completes p: a missing CLI is looked for as scripts/terraform-cli does,
// a missing workerd in tools/. repo is the root of the source tree.
func (p Programs) Locate(ctx context.Context, repo string) (Programs, error) {
	if p.CLI == "" {
		out, err := exec.CommandContext(ctx, filepath.Join(repo, "scripts", "terraform-cli")).Output()
		if err != nil {
			return p, fmt.Errorf("finding terraform or tofu: %w: run `make tools`", explained(err))
		}
		p.CLI = strings.TrimSpace(string(out))
	}
	if p.Workerd == "" {
		p.Workerd = filepath.Join(repo, "tools", "workerd", "node_modules", "@cloudflare", workerdPackage(), "bin", "workerd")
	}
	for _, path := range []*string{&p.CLI, &p.Provider, &p.Hybridge, &p.Workerd} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return p, err
		}
		if _, err := os.Stat(abs); err != nil {
			return p, fmt.Errorf("%w: run `make build tools`", err)
		}
		*path = abs
	}
	return p, nil
}

// workerdPackage is the npm package that carries workerd for this machine.
func workerdPackage() string {
	arch := map[string]string{"amd64": "64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return "workerd-" + runtime.GOOS + "-" + arch
}

// Build builds both programs from the source tree at repo into dir.
func Build(ctx context.Context, repo, dir string) (Programs, error) {
	p := Programs{
		Provider: filepath.Join(dir, "terraform-provider-hybridge"),
		Hybridge: filepath.Join(dir, "hybridge"),
	}
	for output, pkg := range map[string]string{p.Provider: ".", p.Hybridge: "./cmd/hybridge"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", output, pkg)
		cmd.Dir = repo
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	return p, nil
}

// Stage is a directory in which programs play together. Its methods are safe
// for concurrent use on different subdirectories.
type Stage struct {
	Dir      string
	programs Programs
}

// Open prepares dir, which must exist: the filesystem mirror with the provider,
// for either CLI's default registry, and a CLI configuration that knows nothing
// else, so that no run can reach out.
func Open(dir string, programs Programs) (*Stage, error) {
	s := &Stage{Dir: dir, programs: programs}
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		place := filepath.Join(s.mirror(), host, "hybridge", "hybridge", ProviderVersion, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(place, 0o755); err != nil {
			return nil, err
		}
		if err := linkOrCopy(programs.Provider, filepath.Join(place, "terraform-provider-hybridge_v"+ProviderVersion)); err != nil {
			return nil, fmt.Errorf("putting the provider into the mirror: %w", err)
		}
	}
	config := fmt.Sprintf("disable_checkpoint = true\n\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", s.mirror())
	if err := os.WriteFile(s.cliConfig(), []byte(config), 0o644); err != nil {
		return nil, err
	}
	return s, os.Mkdir(s.Temp(), 0o755)
}

func (s *Stage) mirror() string    { return filepath.Join(s.Dir, "mirror") }
func (s *Stage) cliConfig() string { return filepath.Join(s.Dir, "cli.tfrc") }

// Temp is the directory for temporary files of all programs on the stage.
func (s *Stage) Temp() string { return filepath.Join(s.Dir, "tmp") }

// environ is this process's environment for a program on the stage: nothing
// that steers Terraform or names a plane is inherited, then extra is added.
func (s *Stage) environ(extra map[string]string) []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "TF_") || strings.HasPrefix(name, "CLOUDFLARE_") || strings.HasPrefix(name, "HYBRIDGE_") {
			continue
		}
		env = append(env, entry)
	}
	env = append(env,
		"TMPDIR="+s.Temp(),
		"TF_CLI_CONFIG_FILE="+s.cliConfig(),
		"TF_IN_AUTOMATION=1",
		"TF_INPUT=0",
		"CHECKPOINT_DISABLE=1",
	)
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	return env
}

// CopyTree copies the directory src of a source tree to dst, without what a run
// of Terraform leaves there. node_modules come along, links as links.
func CopyTree(dst, src string) error {
	return filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		target := filepath.Join(dst, rel)
		switch name := entry.Name(); {
		case entry.IsDir() && name == ".terraform":
			return filepath.SkipDir
		case name == ".terraform.lock.hcl" || strings.HasPrefix(name, "terraform.tfstate"):
			return nil
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case entry.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		default:
			return copyFile(path, target)
		}
	})
}

func linkOrCopy(src, dst string) error {
	if os.Link(src, dst) == nil {
		return nil
	}
	return copyFile(src, dst)
}

func copyFile(src, dst string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, data, info.Mode().Perm())
}

// explained adds what a failed program said on standard error.
func explained(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
