// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
)

// foreignDeployment deploys the way wrangler does: without a marker and without
// looking.
func foreignDeployment(s *stand, message string, shares []cloudflare.Share) (string, error) {
	body, err := json.Marshal(map[string]any{
		"strategy": "percentage", "versions": shares, "annotations": map[string]string{cloudflare.AnnotationMessage: message},
	})
	if err != nil {
		return "", err
	}
	url := fmt.Sprintf("%s/accounts/%s/workers/scripts/api/deployments", s.URL, s.AccountID)
	req, err := http.NewRequestWithContext(s.test.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("User-Agent", "wrangler/4.164.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Result struct {
			ID string `json:"id"`
		} `json:"result"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d, %w", res.StatusCode, err)
	}
	return answer.Result.ID, nil
}
