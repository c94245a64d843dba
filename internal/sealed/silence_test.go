// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"io"
	"testing"

	"github.com/getsops/sops/v3/logging"
)

func TestTheKeyPackagesLogNothing(t *testing.T) {
	t.Parallel()
	_, err := (&keyring{}).dataKey(t.Context(), nil, 1, nil)
	if CodeOf(err) != NoIdentity {
		t.Fatal(err)
	}
	for _, name := range []string{"AGE", "PGP", "AWSKMS", "GCPKMS", "AZKV", "VAULT_TRANSIT", "HCKMS"} {
		if logging.Loggers[name] == nil {
			t.Errorf("there is no logger %s any more", name)
		}
	}
	for name, logger := range logging.Loggers {
		if logger.Out != io.Discard {
			t.Errorf("%s writes to %v", name, logger.Out)
		}
	}
}

func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	for code, text := range explanations {
		if (&Error{Code: code}).Error() == "" || text == "" {
			t.Errorf("%s is not", code)
		}
	}
}
