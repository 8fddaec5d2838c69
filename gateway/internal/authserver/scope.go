package authserver

import (
	"slices"
	"strings"
)

// The scopes that there always are (DESIGN D18).
const (
	// ScopeMCP is what every client gets: to list and call tools that need no
	// scope of their own.
	ScopeMCP = "mcp"
	// ScopeOfflineAccess asks for a refresh token. It is offered by the
	// authorization server and never demanded by the resource.
	ScopeOfflineAccess = "offline_access"
)

// Scope is one that opens some tools. A client asks for it when a call was
// answered with insufficient_scope, and the person is asked then.
type Scope struct {
	Name string
	// Words say on the consent page what it allows.
	Words string
}

// scopes are the names of all, the order being that of metadata.
func (s *Server) scopes() []string {
	names := []string{ScopeMCP}
	for _, scope := range s.cfg.Scopes {
		names = append(names, scope.Name)
	}
	return append(names, ScopeOfflineAccess)
}

// scopeWords say what a scope allows.
func (s *Server) scopeWords(name string) string {
	switch name {
	case ScopeMCP:
		return "list the tools you may use and call them in your name"
	case ScopeOfflineAccess:
		return "stay signed in, without asking you each time"
	}
	for _, scope := range s.cfg.Scopes {
		if scope.Name == name {
			return scope.Words
		}
	}
	return name
}

// grantedScopes says what a scope parameter (RFC 6749 §3.3) is given: ScopeMCP
// always, because there is nothing smaller, and of the others what was asked for.
// Unknown scopes are dropped rather than refused: clients ask for "openid
// profile email" out of habit, and the token answer names what they got.
func (s *Server) grantedScopes(scope string) []string {
	asked := strings.Fields(scope)
	return slices.DeleteFunc(s.scopes(), func(name string) bool {
		return name != ScopeMCP && !slices.Contains(asked, name)
	})
}
