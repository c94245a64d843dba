// SPDX-License-Identifier: MPL-2.0

package tunneltoken

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// sops is a value of a SOPS file. It is opened again only when the file has changed.
type sops struct {
	value agentfile.SOPSValue

	opened bool
	digest [sha256.Size]byte // of the file that was opened
	text   []byte
}

func (s *sops) String() string { return s.value.File + " key " + s.value.Key }

func (s *sops) Read(ctx context.Context) ([]byte, error) {
	text, err := os.ReadFile(s.value.File)
	if err != nil {
		return nil, fmt.Errorf("reading the SOPS file: %w", err)
	}
	digest := sha256.Sum256(text)
	if s.opened && digest == s.digest {
		return s.text, nil
	}
	path, err := sealed.ParsePath(s.value.Key)
	if err != nil {
		return nil, err
	}
	f, err := sealed.Parse(s.value.File, sealed.FormatOf(s.value.File), text)
	if err != nil {
		return nil, err
	}
	if err := f.Scalar(path); err != nil {
		return nil, err
	}
	// By its text and not by its path: systemd's credentials may have another mode than a key file.
	identity, err := credential.Read(s.value.AgeIdentityFile)
	if err != nil {
		return nil, fmt.Errorf("reading the age identity: %w", err)
	}
	opened, err := sealed.NewStore(sealed.Identities{AgeKey: sealed.NewSecret(string(identity))}).Open(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("%w: \"hybridge agent enroll\" says which recipient to add", err)
	}
	secret, err := opened.Secret(path)
	if err != nil {
		return nil, err
	}
	s.opened, s.digest, s.text = true, digest, []byte(secret.Reveal())
	return s.text, nil
}
