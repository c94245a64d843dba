// SPDX-License-Identifier: MPL-2.0

package packaging_test

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dist is the directory that `make snapshot` fills, with the version that it has.
func dist(t *testing.T) (dir, version string) {
	t.Helper()
	dir = os.Getenv("HYBRIDGE_DIST")
	if dir == "" {
		dir = "../dist"
	}
	text, err := os.ReadFile(filepath.Join(dir, "metadata.json"))
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "artifacts.json")) // GoReleaser's last file
	}
	if err != nil {
		t.Skip("there are no artefacts in dist/: make snapshot builds and checks them")
	}
	var meta struct{ Version string }
	if err := json.Unmarshal(text, &meta); err != nil {
		t.Fatal(err)
	}
	return dir, meta.Version
}

func files(t *testing.T, pattern string) (names []string) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		names = append(names, filepath.Base(f))
	}
	return names
}

func sum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The registries' layout: what they do not expect they may take for a platform.
func TestTheProviderIsAsRegistriesAsk(t *testing.T) {
	t.Parallel()
	dir, version := dist(t)
	base := "terraform-provider-hybridge_" + version
	zips := files(t, filepath.Join(dir, base+"_*.zip"))
	form := regexp.MustCompile(`^` + regexp.QuoteMeta(base) + `_[a-z]+_[a-z0-9]+\.zip$`)
	for _, name := range zips {
		if !form.MatchString(name) {
			t.Errorf("%s is no platform's name", name)
		}
		z, err := zip.OpenReader(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want := "terraform-provider-hybridge_v" + version
		if strings.Contains(name, "_windows_") {
			want += ".exe"
		}
		if len(z.File) != 1 || z.File[0].Name != want || z.File[0].Mode().Perm()&0o111 == 0 {
			t.Errorf("%s holds %d files, the first %s", name, len(z.File), z.File[0].Name)
		}
		_ = z.Close()
	}
	if !slices.Contains(zips, base+"_linux_amd64.zip") {
		t.Errorf("linux_amd64 is missing in %v", zips)
	}

	var summed []string
	for line := range strings.Lines(read(t, filepath.Join(dir, base+"_SHA256SUMS"))) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		summed = append(summed, name)
		path := filepath.Join(dir, name)
		if name == base+"_manifest.json" { // GoReleaser uploads it from the work tree
			path = "../terraform-registry-manifest.json"
		}
		if got := sum(t, path); got != want {
			t.Errorf("%s has the checksum %s, not %s", name, got, want)
		}
	}
	want := append([]string{base + "_manifest.json"}, zips...)
	slices.Sort(want)
	slices.Sort(summed)
	if diff := cmp.Diff(want, summed); diff != "" {
		t.Errorf("files with a checksum (-want +got):\n%s", diff)
	}
	verify(t, dir, base+"_SHA256SUMS")
}

// verify checks the signature beside a file. A snapshot brings the key that it was signed with.
func verify(t *testing.T, dir, name string) {
	t.Helper()
	key := filepath.Join(dir, "snapshot-key.gpg")
	if _, err := os.Stat(key); errors.Is(err, os.ErrNotExist) {
		t.Fatal("dist/ has no key: it is not of scripts/snapshot")
	}
	out, err := exec.CommandContext(t.Context(), "gpgv", "--keyring", mustAbs(t, key), filepath.Join(dir, name+".sig"), filepath.Join(dir, name)).CombinedOutput()
	if err != nil {
		t.Errorf("the signature of %s: %v\n%s", name, err, out)
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func TestEveryArchiveAndPackageIsSummedSignedAndDescribed(t *testing.T) {
	t.Parallel()
	dir, version := dist(t)
	var kinds []string
	for _, name := range files(t, filepath.Join(dir, "hybridge_"+version+"_*")) {
		if strings.HasSuffix(name, ".sig") || strings.HasSuffix(name, ".sha256") || strings.HasSuffix(name, ".json") {
			continue
		}
		kinds = append(kinds, strings.TrimPrefix(name, "hybridge_"+version))
		want := sum(t, filepath.Join(dir, name)) + "  " + name + "\n"
		if got := read(t, filepath.Join(dir, name+".sha256")); got != want {
			t.Errorf("%s.sha256 is %q, want %q", name, got, want)
		}
		verify(t, dir, name)
	}
	for _, kind := range []string{"_linux_amd64.tar.gz", "_linux_amd64.deb", "_linux_amd64.rpm"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%s is missing in %v", kind, kinds)
		}
	}
	// What is linked is known: the database by the program, and not by the provider.
	for program, has := range map[string]bool{"hybridge": true, "terraform-provider-hybridge": false} {
		var bom struct {
			BomFormat  string
			Components []struct{ Name, Version, Purl string }
		}
		if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, program+"_"+version+"_linux_amd64.cdx.json"))), &bom); err != nil {
			t.Fatal(err)
		}
		linked := false
		for _, c := range bom.Components {
			linked = linked || c.Name == "modernc.org/sqlite" && strings.HasPrefix(c.Version, "v1.")
		}
		if bom.BomFormat != "CycloneDX" || len(bom.Components) < 20 || linked != has {
			t.Errorf("the SBOM of %s: %s, %d components, SQLite %v", program, bom.BomFormat, len(bom.Components), linked)
		}
	}
}

func TestTheArchiveHoldsTheProgram(t *testing.T) {
	t.Parallel()
	dir, version := dist(t)
	f, err := os.Open(filepath.Join(dir, "hybridge_"+version+"_linux_amd64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]os.FileMode{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = h.FileInfo().Mode()
	}
	for _, name := range []string{"LICENSE", "README.md", "packaging/hybridge-agent.service", "packaging/agent.yaml", "packaging/alerts/receiver.mjs"} {
		if _, ok := names[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if names["hybridge"].Perm() != 0o755 {
		t.Errorf("hybridge has mode %s", names["hybridge"])
	}
}

// The package is installed into a directory, used there, and removed.
func TestTheDebInstalls(t *testing.T) {
	t.Parallel()
	dir, version := dist(t)
	for _, program := range []string{"dpkg", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s on this machine", program)
		}
	}
	root := t.TempDir()
	for _, d := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil { //nolint:gosec // as on a machine
			t.Fatal(err)
		}
	}
	for _, f := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) {
		t.Helper()
		args = append([]string{"--root=" + root, "--force-script-chrootless", "--log=/dev/null"}, args...)
		if os.Getuid() != 0 {
			args = append([]string{"--force-not-root"}, args...)
		}
		cmd := exec.CommandContext(t.Context(), "dpkg", args...)
		// dpkg asks for them on PATH, whatever it does.
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %v: %v\n%s", args, err, out)
		}
	}
	deb := mustAbs(t, filepath.Join(dir, "hybridge_"+version+"_linux_amd64.deb"))
	dpkg("--install", deb)
	for path, mode := range map[string]os.FileMode{
		"usr/bin/hybridge": 0o755, "usr/lib/systemd/system/" + unit: 0o644, "usr/lib/sysusers.d/hybridge.conf": 0o644, "etc/hybridge": 0o755 | os.ModeDir,
		"etc/hybridge/secrets": 0o700 | os.ModeDir, "usr/share/doc/hybridge/agent.yaml": 0o644, "usr/share/doc/hybridge/alerts/receiver.mjs": 0o644, "usr/share/doc/hybridge/copyright": 0o644,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v, want mode %s", path, info, err, mode)
		}
	}
	if diff := cmp.Diff(read(t, unit), read(t, filepath.Join(root, "usr/lib/systemd/system", unit))); diff != "" {
		t.Errorf("the unit (-here +installed):\n%s", diff)
	}
	program := filepath.Join(root, "usr/bin/hybridge")
	out, err := exec.CommandContext(t.Context(), program, "--version").CombinedOutput()
	if want := fmt.Sprintf("hybridge %s\n", version); err != nil || string(out) != want {
		t.Errorf("hybridge --version: %v, %q, want %q", err, out, want)
	}
	cmd := exec.CommandContext(t.Context(), program, "agent", "check", "--config", filepath.Join(root, "usr/share/doc/hybridge/agent.yaml"))
	cmd.Env = append(os.Environ(), "CREDENTIALS_DIRECTORY=/run/credentials/"+unit)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the installed example: %v\n%s", err, out)
	}

	// What an operator has written stays.
	if err := os.WriteFile(filepath.Join(root, "etc/hybridge/agent.yaml"), []byte("format: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dpkg("--install", deb) // again, as an upgrade does
	dpkg("--remove", "hybridge")
	if _, err := os.Stat(program); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program is left: %v", err)
	}
	if read(t, filepath.Join(root, "etc/hybridge/agent.yaml")) != "format: 1\n" {
		t.Error("the configuration is gone")
	}
}
