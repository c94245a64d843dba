// SPDX-License-Identifier: MPL-2.0

package sops_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/echoprovider"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/tfproto"
)

const (
	kind   = "hybridge_sops_file"
	canary = "hunter2-hunter2-hunter2"
)

// with is a provider block that decrypts with this key file and nothing else.
func with(keyFile string) tfproto.Object {
	sops := map[string]any{"env_allowed": false}
	if keyFile != "" {
		sops["age_key_file"] = keyFile
	}
	return tfproto.Object{"sops": sops}
}

func TestAFileOpensToItsValues(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	values := map[string]string{"a.b": canary, "empty": "", "n": "1"}
	p := acctest.Proto(t, acctest.NoEnv, with(box.KeyFile))
	whole := map[string]any{"a.b": canary, "empty": "", "n": "1"}
	for _, tt := range []struct {
		name, format string
		key, text    any
		value        any
	}{
		{"s.yaml", "", nil, nil, whole},
		{"s.json", "", nil, nil, whole},
		{"s.env", "", nil, nil, whole},
		{"s.json", "yaml", nil, nil, whole},
		{"s.yaml", "", `["a.b"]`, canary, canary},
		{"s.yaml", "", "empty", "", ""},
	} {
		config := tfproto.Object{"file": box.Seal(t, tt.name, values), "key": tt.key}
		if tt.format != "" {
			config["format"] = tt.format
		}
		got, d := p.Open(t.Context(), t, kind, config)
		if len(d) > 0 {
			t.Errorf("%s %v: %s", tt.name, tt.key, d)
			continue
		}
		if !cmp.Equal(got["value"], tt.value) || got["text"] != tt.text {
			t.Errorf("%s %v: value %v, text %v; want %v, %v", tt.name, tt.key, got["value"], got["text"], tt.value, tt.text)
		}
	}
}

func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	box, stranger := acctest.NewStrongbox(t), acctest.NewStrongbox(t)
	file := box.Seal(t, "s.yaml", map[string]string{"a": canary, "b": "x"})
	clear, changed := filepath.Join(box.Dir, "clear.yaml"), filepath.Join(box.Dir, "changed.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		clear:   "a: " + canary + "\n",
		changed: strings.ReplaceAll(string(text), "type:str", "type:int"),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		keyFile string
		config  tfproto.Object
		want    []string
	}{
		"no key":        {"", tfproto.Object{"file": file}, []string{"at file:", "Cannot decrypt SOPS file", file, box.Recipient, "sops updatekeys"}},
		"wrong key":     {stranger.KeyFile, tfproto.Object{"file": file}, []string{"at file:", box.Recipient}},
		"no key file":   {filepath.Join(box.Dir, "none"), tfproto.Object{"file": file}, []string{"at file:", "Cannot decrypt SOPS file", "none does not exist", box.Recipient}},
		"no file":       {box.KeyFile, tfproto.Object{"file": filepath.Join(box.Dir, "nowhere.yaml")}, []string{"at file:", "nowhere.yaml", "does not exist"}},
		"no SOPS file":  {box.KeyFile, tfproto.Object{"file": clear}, []string{"at file:", "no SOPS metadata", "sops encrypt"}},
		"changed":       {box.KeyFile, tfproto.Object{"file": changed}, []string{"at file:", "changed without SOPS"}},
		"unknown key":   {box.KeyFile, tfproto.Object{"file": file, "key": "c"}, []string{"at key:", "Invalid key path", "it has a, b"}},
		"bad key":       {box.KeyFile, tfproto.Object{"file": file, "key": "a["}, []string{"at key:", "not closed"}},
		"unused format": {box.KeyFile, tfproto.Object{"file": file, "format": "toml"}, []string{"at format:", "yaml"}},
		"wrong format":  {box.KeyFile, tfproto.Object{"file": file, "format": "json"}, []string{"at file:", "cannot be parsed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, d := acctest.Proto(t, acctest.NoEnv, with(tt.keyFile)).Open(t.Context(), t, kind, tt.config)
			for _, want := range tt.want {
				if !strings.Contains(d.String(), want) {
					t.Errorf("the diagnostics lack %q:\n%s", want, d)
				}
			}
			if strings.Contains(d.String(), canary) || strings.Contains(fmt.Sprint(got), canary) {
				t.Errorf("a value got out: %v\n%s", got, d)
			}
		})
	}
}

func TestTerraformOpensAFileAndStoresNothing(t *testing.T) {
	t.Parallel()
	box := acctest.NewStrongbox(t)
	file := box.Seal(t, "s.yaml", map[string]string{"db": canary})
	acctest.CLI(t)
	// The echo provider stores what its configuration holds, so that a test can see it.
	factories := map[string]func() (tfprotov6.ProviderServer, error){"echo": echoprovider.NewProviderServer()}
	for name, f := range acctest.Factories(acctest.NoEnv) {
		factories[name] = f
	}
	block := fmt.Sprintf("provider \"hybridge\" {\n  sops = { age_key_file = %q, env_allowed = false }\n}\nephemeral \"hybridge_sops_file\" \"s\" {\n  file = %q\n}\n", box.KeyFile, file)
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: []resource.TestStep{
		{
			Config: block + "provider \"echo\" {\n  data = ephemeral.hybridge_sops_file.s.value\n}\nresource \"echo\" \"seen\" {}\n",
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue("echo.seen", tfjsonpath.New("data"), knownvalue.ObjectExact(map[string]knownvalue.Check{"db": knownvalue.StringExact(canary)})),
			},
		},
	}})
}
