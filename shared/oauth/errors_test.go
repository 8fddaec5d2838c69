package oauth_test

import (
	"errors"
	"io/fs"
	"net/http"
	"testing"

	"mcp-gateway/shared/oauth"
)

func TestErrorCodesAreThoseOfTheRFCs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code   string
		wire   string
		status int
	}{
		{code: oauth.CodeInvalidRequest, wire: "invalid_request", status: http.StatusBadRequest},
		{code: oauth.CodeUnauthorizedClient, wire: "unauthorized_client", status: http.StatusBadRequest},
		{code: oauth.CodeAccessDenied, wire: "access_denied", status: http.StatusBadRequest},
		{code: oauth.CodeUnsupportedResponseType, wire: "unsupported_response_type", status: http.StatusBadRequest},
		{code: oauth.CodeInvalidScope, wire: "invalid_scope", status: http.StatusBadRequest},
		{code: oauth.CodeServerError, wire: "server_error", status: http.StatusInternalServerError},
		{code: oauth.CodeTemporarilyUnavailable, wire: "temporarily_unavailable", status: http.StatusServiceUnavailable},
		{code: oauth.CodeInvalidClient, wire: "invalid_client", status: http.StatusUnauthorized},
		{code: oauth.CodeInvalidGrant, wire: "invalid_grant", status: http.StatusBadRequest},
		{code: oauth.CodeUnsupportedGrantType, wire: "unsupported_grant_type", status: http.StatusBadRequest},
		{code: oauth.CodeInvalidToken, wire: "invalid_token", status: http.StatusUnauthorized},
		{code: oauth.CodeInsufficientScope, wire: "insufficient_scope", status: http.StatusForbidden},
		{code: oauth.CodeInvalidRedirectURI, wire: "invalid_redirect_uri", status: http.StatusBadRequest},
		{code: oauth.CodeInvalidClientMetadata, wire: "invalid_client_metadata", status: http.StatusBadRequest},
		{code: oauth.CodeInvalidTarget, wire: "invalid_target", status: http.StatusBadRequest},
		{code: oauth.CodeAuthorizationPending, wire: "authorization_pending", status: http.StatusBadRequest},
		{code: oauth.CodeSlowDown, wire: "slow_down", status: http.StatusBadRequest},
		{code: oauth.CodeExpiredToken, wire: "expired_token", status: http.StatusBadRequest},
	} {
		e := oauth.NewError(tt.code, "said so")
		if e.Code != tt.wire || e.Status != tt.status || e.Description != "said so" {
			t.Errorf("NewError(%q) = %+v, want code %q and status %d", tt.code, e, tt.wire, tt.status)
		}
	}
}

func TestErrorKeepsItsCauseForLogsAndChecks(t *testing.T) {
	t.Parallel()
	plain := oauth.NewError(oauth.CodeInvalidGrant, "the code is unknown")
	caused := plain.WithCause(fs.ErrNotExist)
	if got, want := caused.Error(), "invalid_grant: the code is unknown: file does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(caused, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	if found, ok := errors.AsType[*oauth.Error](error(caused)); !ok || found.Status != http.StatusBadRequest {
		t.Errorf("got %+v, want the error itself", found)
	}
	// The same Error may be returned to many: WithCause must not change it.
	if plain.Unwrap() != nil || plain.Error() != "invalid_grant: the code is unknown" {
		t.Errorf("WithCause changed its receiver: %v", plain)
	}
	if got := (&oauth.Error{Code: "invalid_scope"}).Error(); got != "invalid_scope" {
		t.Errorf("got %q, want the code alone", got)
	}
}
