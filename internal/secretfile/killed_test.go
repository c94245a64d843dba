// SPDX-License-Identifier: MPL-2.0

package secretfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
)

// envPrepare makes this program one that is to be killed: it writes standard input
// beside the file that the variable names, says so, and never puts it in place.
const envPrepare = "HYBRIDGE_TEST_PREPARE"

func TestMain(m *testing.M) {
	path := os.Getenv(envPrepare)
	if path == "" {
		os.Exit(m.Run())
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		_, err = prepare(path, text)
	}
	fmt.Println("prepared", err)
	time.Sleep(time.Minute) // until it is killed
}

func TestAProcessThatIsKilledBeforeTheRenameLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	first, second := random(t), random(t)
	s.must(s.plan(map[string]string{"A": first}).Write())
	before := s.text(s.path)
	c := s.plan(map[string]string{"A": second})

	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), envPrepare+"="+s.path)
	child.Stdin = bytes.NewReader(c.after)
	out, err := child.StdoutPipe()
	s.must(err)
	s.must(child.Start())
	said := make([]byte, len("prepared <nil>\n"))
	_, err = io.ReadFull(out, said)
	s.must(child.Process.Kill()) // SIGKILL
	ended := child.Wait()
	if err != nil || ended == nil || ended.Error() != "signal: killed" || string(said) != "prepared <nil>\n" {
		t.Fatalf("%q, %v, %v", said, err, ended)
	}

	names := s.names()
	if len(names) != 2 || !bytes.Equal(s.text(s.path), before) || s.value(s.path, "A") != first {
		t.Errorf("beside %v the file is another one", names)
	}
	for _, name := range names {
		text := s.text(filepath.Join(filepath.Dir(s.path), name))
		for _, secret := range []string{first, second} {
			if forms := canary.In(text, secret); len(forms) > 0 {
				t.Errorf("%s holds a secret (%v)", name, forms)
			}
		}
	}
	s.must(s.plan(map[string]string{"A": second}).Write())
	if s.value(s.path, "A") != second {
		t.Error("what the killed process left is in the way of the next one")
	}
}
