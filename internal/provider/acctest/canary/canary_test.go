// SPDX-License-Identifier: MPL-2.0

package canary_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
)

const secret = "s3cr3t/+ \"canary\" with & é"

func TestEveryFormIsFound(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"raw": secret, "json": string(quoted), "hex": hex.EncodeToString([]byte(secret)), "query": url.QueryEscape(secret),
		"path": url.PathEscape(secret), "go": fmt.Sprintf("%q", secret), "bytes": fmt.Sprint([]byte(secret)),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64url": base64.URLEncoding.EncodeToString([]byte(secret)),
	} {
		if found := canary.In([]byte("before "+text+" after"), secret); len(found) == 0 {
			t.Errorf("not found as %s", name)
		}
	}
	for n := range 6 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n) + secret + "tail"))
		if found := canary.In([]byte(text), secret); len(found) == 0 {
			t.Errorf("not found in base64 after %d bytes", n)
		}
	}
	if found := canary.In([]byte("nothing to see, not even s3cr3t"), secret); len(found) > 0 {
		t.Errorf("found where it is not: %v", found)
	}
}

func TestFilesAreSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state"), []byte("{"+secret+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := canary.InFiles(dir, secret)
	if err != nil || len(found) == 0 || !strings.Contains(found[0], "state") {
		t.Errorf("found %v, %v", found, err)
	}
}
