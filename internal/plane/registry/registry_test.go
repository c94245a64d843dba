// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openIn(t *testing.T, dir string) *Registry {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return r
}

func open(t *testing.T) *Registry {
	t.Helper()
	return openIn(t, filepath.Join(t.TempDir(), "r"))
}

// reopen closes r and opens its directory again.
func reopen(t *testing.T, r *Registry) *Registry {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return openIn(t, r.Dir())
}

func account(t *testing.T, r *Registry) Account {
	t.Helper()
	a, err := r.CreateAccount(t.Context(), "Acme", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func worker(t *testing.T, r *Registry, a Account, name string) Worker {
	t.Helper()
	w, err := r.CreateWorker(t.Context(), Worker{AccountID: a.ID, Name: name, Enabled: true, Tags: []string{"t"}, Observability: json.RawMessage(`{"enabled":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func put(t *testing.T, r *Registry, text string) Module {
	t.Helper()
	sum, size, err := r.Put(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return Module{Name: "index.js", ContentType: "application/javascript+module", SHA256: sum, Size: size}
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func version(t *testing.T, r *Registry, w Worker, bindings ...Binding) Version {
	t.Helper()
	v, err := r.CreateVersion(t.Context(), Version{WorkerID: w.ID, Source: "api", Handlers: []string{"fetch"}, VersionContent: VersionContent{
		MainModule: "index.js", Modules: []Module{put(t, r, "export default {}")}, Bindings: bindings,
		CompatibilityDate: "2025-09-01", CompatibilityFlags: []string{"nodejs_compat"}, Annotations: map[string]string{"workers/tag": "t"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func deploy(r *Registry, t *testing.T, w Worker, expect string, shares ...Share) (Deployment, error) {
	t.Helper()
	return r.CreateDeployment(t.Context(), Deployment{WorkerID: w.ID, Source: "api", Strategy: "percentage", Shares: shares}, expect)
}

func mustDeploy(t *testing.T, r *Registry, w Worker, expect string, shares ...Share) Deployment {
	t.Helper()
	d, err := deploy(r, t, w, expect, shares...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEverythingSurvivesReopening(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	w := worker(t, r, a, "api")
	v := version(t, r, w,
		Binding{Name: "A", Type: "plain_text", Fields: map[string]json.RawMessage{"text": raw(`"x"`)}},
		Binding{Name: "S", Type: "secret_text", Fields: map[string]json.RawMessage{"text": raw(`"hidden"`)}})
	d := mustDeploy(t, r, w, "", Share{v.ID, 100})
	r = reopen(t, r)

	gotW, err := r.Worker(t.Context(), a.ID, "api")
	if err != nil {
		t.Fatal(err)
	}
	w.DeployedOn = &d.CreatedOn
	if diff := cmp.Diff(w, gotW); diff != "" {
		t.Errorf("Worker (-created +read):\n%s", diff)
	}
	gotV, err := r.Version(t.Context(), w.ID, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, gotV); diff != "" {
		t.Errorf("version (-created +read):\n%s", diff)
	}
	if _, leaks := gotV.Bindings[1].Fields["text"]; leaks {
		t.Error("a read version carries its secret")
	}
	gotD, found, err := r.LiveDeployment(t.Context(), w.ID)
	if err != nil || !found {
		t.Fatalf("live deployment: found %v, %v", found, err)
	}
	if diff := cmp.Diff(d, gotD); diff != "" {
		t.Errorf("deployment (-created +read):\n%s", diff)
	}
	secrets, err := r.Secrets(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Secrets{"S": {"text": raw(`"hidden"`)}}, secrets); diff != "" {
		t.Errorf("secrets (-stored +read):\n%s", diff)
	}
}

func TestSecretsAndTokensAreNowhereInTheClear(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	const secret = "correct-horse-battery-staple"
	token := MintToken()
	if _, err := r.CreateToken(t.Context(), a.ID, "ci", token, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	w := worker(t, r, a, "api")
	v := version(t, r, w, Binding{Name: "S", Type: "secret_text", Fields: map[string]json.RawMessage{"text": raw(`"` + secret + `"`)}})
	search := func(when string) {
		t.Helper()
		err := filepath.WalkDir(r.Dir(), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			for _, clear := range []string{secret, token} {
				if bytes.Contains(data, []byte(clear)) {
					t.Errorf("%s: %s holds %q", when, path, clear)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	search("while open, with the log of writes")
	if err := r.DeleteVersion(t.Context(), w.ID, v.ID); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, r)
	search("after closing")
}

func TestASecretsCiphertextIsBoundToItsVersion(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	secret := func(text string) Binding {
		return Binding{Name: "S", Type: "secret_text", Fields: map[string]json.RawMessage{"text": raw(`"` + text + `"`)}}
	}
	one, two := version(t, r, w, secret("one")), version(t, r, w, secret("two"))
	if _, err := r.writer.Exec(`UPDATE versions SET secrets = (SELECT secrets FROM versions WHERE id = ?) WHERE id = ?`, one.ID, two.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Secrets(t.Context(), two.ID); err == nil {
		t.Error("another version's secrets were taken for its own")
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	r := open(t)
	_, err := Open(t.Context(), r.Dir())
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != fmt.Sprint(os.Getpid()) {
		t.Errorf("second Open: %v, want an InUseError with this process", err)
	}
}

func TestKeyFileMustBePrivateAndPresent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, key string)
		want   string
	}{
		{"open to the group", func(t *testing.T, key string) { must(t, os.Chmod(key, 0o640)) }, "chmod 0600"},
		{"a symbolic link", func(t *testing.T, key string) {
			must(t, os.Rename(key, key+".real"))
			must(t, os.Symlink(key+".real", key))
		}, "symbolic link"},
		{"missing", func(t *testing.T, key string) { must(t, os.Remove(key)) }, "restore it from a backup"},
		{"a directory", func(t *testing.T, key string) { must(t, os.Remove(key)); must(t, os.Mkdir(key, 0o700)) }, "not a regular file"},
		{"damaged", func(t *testing.T, key string) { must(t, os.WriteFile(key, []byte("AGE-SECRET-KEY-1JUNK"), 0o600)) }, "no age X25519 identity"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := open(t)
			key := filepath.Join(r.Dir(), keyFile)
			before, err := os.ReadFile(key)
			must(t, err)
			must(t, r.Close())
			tc.damage(t, key)
			_, err = Open(t.Context(), r.Dir())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open: %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "JUNK") || strings.Contains(fmt.Sprint(err), strings.TrimSpace(string(before))) {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverythingIsPrivate(t *testing.T) {
	t.Parallel()
	r := open(t)
	version(t, r, worker(t, r, account(t, r), "api"))
	err := filepath.WalkDir(r.Dir(), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return err
	})
	must(t, err)
	must(t, r.Close())
	must(t, os.Chmod(r.Dir(), 0o755))
	if _, err := Open(t.Context(), r.Dir()); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("Open of a directory that others may enter: %v", err)
	}
}

func TestARegistryOfANewerProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := open(t)
	if _, err := r.writer.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, len(migrations)+1)); err != nil {
		t.Fatal(err)
	}
	must(t, r.Close())
	if _, err := Open(t.Context(), r.Dir()); err == nil || !strings.Contains(err.Error(), "use the newer hybridge") {
		t.Errorf("Open: %v", err)
	}
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	r := open(t)
	m := put(t, r, "hello")
	if again := put(t, r, "hello"); again != m {
		t.Errorf("the same bytes got another name: %v, %v", m, again)
	}
	files := func() int {
		n := 0
		must(t, filepath.WalkDir(r.blobs, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return err
		}))
		return n
	}
	if n := files(); n != 1 {
		t.Errorf("%d files for one content", n)
	}
	broken := errors.New("the line is dead")
	if _, _, err := r.Put(&failingReader{"some bytes", broken}); !errors.Is(err, broken) {
		t.Errorf("Put of a broken reader: %v", err)
	}
	if n := files(); n != 1 {
		t.Errorf("%d files after a broken upload, want the one from before", n)
	}
	must(t, r.VerifyBlob(m.SHA256))
	must(t, os.WriteFile(r.BlobPath(m.SHA256), []byte("hallo"), 0o600))
	if err := r.VerifyBlob(m.SHA256); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("VerifyBlob of changed bytes: %v", err)
	}
	if err := r.VerifyBlob("../../../etc/passwd"); err == nil {
		t.Error("a blob's name reaches outside")
	}
}

type failingReader struct {
	text string
	err  error
}

func (f *failingReader) Read(p []byte) (int, error) {
	if f.text == "" {
		return 0, f.err
	}
	n := copy(p, f.text)
	f.text = f.text[n:]
	return n, nil
}

func TestOpenRemovesWhatNoVersionRefersTo(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	v := version(t, r, w)
	orphan := put(t, r, "of a refused upload")
	must(t, os.WriteFile(filepath.Join(r.blobs, ".tmp-123"), []byte("half"), 0o600))
	r = reopen(t, r)
	must(t, r.VerifyBlob(v.Modules[0].SHA256))
	if _, err := r.OpenBlob(orphan.SHA256); !errors.Is(err, ErrNotFound) {
		t.Errorf("the orphan is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.blobs, ".tmp-123")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
}

func TestNumbersGrowByOneAndAreNeverUsedTwice(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	const n = 50
	var wg sync.WaitGroup
	numbers := make([]int, n)
	for i := range n {
		wg.Go(func() {
			v, err := r.CreateVersion(t.Context(), Version{WorkerID: w.ID})
			if err != nil {
				t.Error(err)
			}
			numbers[i] = v.Number
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, number := range numbers {
		seen[number] = true
	}
	for number := 1; number <= n; number++ {
		if !seen[number] {
			t.Errorf("number %d is missing", number)
		}
	}
	last, err := r.LatestVersion(t.Context(), w.ID)
	must(t, err)
	must(t, r.DeleteVersion(t.Context(), w.ID, last.ID))
	if v := version(t, r, w); v.Number != n+1 {
		t.Errorf("after deleting number %d the next one is %d", n, v.Number)
	}
}

func TestOnlyTheHundredNewestVersionsAreDeployable(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	first := version(t, r, w)
	for range DeployableVersions - 1 {
		version(t, r, w)
	}
	mustDeploy(t, r, w, "", Share{first.ID, 100})
	version(t, r, w)
	if err := r.CheckDeployable(t.Context(), w.ID, first.ID); !errors.Is(err, ErrNotDeployable) {
		t.Errorf("the 101st newest version: %v", err)
	}
	list, total, err := r.Versions(t.Context(), w.ID, true, 60, 60)
	must(t, err)
	if len(list) != 40 || total != DeployableVersions || list[39].Number != 2 {
		t.Errorf("second page of 60 deployable ones: %d of %d", len(list), total)
	}
	list, total, err = r.Versions(t.Context(), w.ID, false, 60, 60)
	must(t, err)
	if len(list) != 41 || total != DeployableVersions+1 || list[0].Number != 41 {
		t.Errorf("second page of 60 versions: %d of %d from %d on", len(list), total, list[0].Number)
	}
}

func TestOneOfTwoDeploymentsThatExpectTheSameWins(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	v := version(t, r, w)
	first := mustDeploy(t, r, w, "", Share{v.ID, 100})
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() { _, results[i] = deploy(r, t, w, first.ID, Share{v.ID, 100}) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, ErrLiveChanged):
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d deployments won, want 1", won)
	}
	list, err := r.Deployments(t.Context(), w.ID, 100)
	must(t, err)
	if len(list) != 2 || list[1].ID != first.ID {
		t.Errorf("history: %v", list)
	}
}

func TestWhatIsLiveCannotBeDeleted(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	w := worker(t, r, a, "api")
	one, two := version(t, r, w), version(t, r, w)
	first := mustDeploy(t, r, w, "", Share{one.ID, 90}, Share{two.ID, 10})
	if err := r.DeleteVersion(t.Context(), w.ID, two.ID); !errors.Is(err, ErrVersionLive) {
		t.Errorf("deleting a version at 10 %%: %v", err)
	}
	if err := r.DeleteDeployment(t.Context(), w.ID, first.ID); !errors.Is(err, ErrLive) {
		t.Errorf("deleting the live deployment: %v", err)
	}
	mustDeploy(t, r, w, first.ID, Share{two.ID, 100})
	must(t, r.DeleteVersion(t.Context(), w.ID, one.ID))
	if _, err := r.Deployment(t.Context(), w.ID, first.ID); err != nil {
		t.Errorf("the history forgot a deployment of a deleted version: %v", err)
	}
	must(t, r.DeleteDeployment(t.Context(), w.ID, first.ID))
	if err := r.DeleteDeployment(t.Context(), w.ID, first.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	other := worker(t, r, a, "other")
	if _, err := deploy(r, t, other, "", Share{two.ID, 100}); !errors.Is(err, ErrNotFound) {
		t.Errorf("deploying another Worker's version: %v", err)
	}
}

func TestReferencesFollowLiveDeployments(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	w, target := worker(t, r, a, "api"), worker(t, r, a, "auth")
	bound := version(t, r, w, Binding{Name: "AUTH", Type: "service", Fields: map[string]json.RawMessage{"service": raw(`"auth"`)}},
		Binding{Name: "SELF", Type: "service", Fields: map[string]json.RawMessage{"service": raw(`"api"`)}})
	free := version(t, r, w)
	check := func(when string, want []Reference) {
		t.Helper()
		got, err := r.References(t.Context(), a.ID)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("uploaded only", nil)
	d := mustDeploy(t, r, w, "", Share{free.ID, 99}, Share{bound.ID, 1})
	check("live at 1 %", []Reference{{w.ID, "api", target.Name}})
	mustDeploy(t, r, w, d.ID, Share{free.ID, 100})
	check("no longer live", nil)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	text := MintToken()
	made, err := r.CreateToken(t.Context(), a.ID, "ci", text, []string{"Workers Scripts Read"})
	must(t, err)
	got, err := r.Authenticate(t.Context(), text)
	must(t, err)
	if got.LastUsedOn == nil {
		t.Error("its use was not noted")
	}
	got.LastUsedOn = nil
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("token (-made +found):\n%s", diff)
	}
	if _, err := r.Authenticate(t.Context(), text+"x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another text: %v", err)
	}
	for _, bad := range []string{"short", strings.Repeat("a", 81), strings.Repeat("ä", 30)} {
		if _, err := r.CreateToken(t.Context(), a.ID, "bad", bad, nil); err == nil {
			t.Errorf("the text %q was taken", bad)
		}
	}
	if _, err := r.CreateToken(t.Context(), a.ID, "ci", MintToken(), nil); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a second token of the same name: %v", err)
	}
	must(t, r.DeleteToken(t.Context(), a.ID, "ci"))
	if _, err := r.Authenticate(t.Context(), text); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted token: %v", err)
	}
}

func TestNamesAreTakenOncePerAccount(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	worker(t, r, a, "api")
	if _, err := r.CreateWorker(t.Context(), Worker{AccountID: a.ID, Name: "api"}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a second Worker of the same name: %v", err)
	}
	other, err := r.CreateAccount(t.Context(), "Other", "")
	must(t, err)
	if _, err := r.CreateWorker(t.Context(), Worker{AccountID: other.ID, Name: "api"}); err != nil {
		t.Errorf("the same name in another account: %v", err)
	}
	if err := r.SetSubdomain(t.Context(), other.ID, "acme"); !errors.Is(err, ErrNameTaken) {
		t.Errorf("another account's subdomain: %v", err)
	}
	must(t, r.SetSubdomain(t.Context(), other.ID, "other"))
	if owner, err := r.SubdomainOwner(t.Context(), "other"); err != nil || owner != other.ID {
		t.Errorf("owner of the subdomain: %q, %v", owner, err)
	}
}
