package config_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/config"
)

// TestLoadState: who administers needs neither the secrets nor the rest.
func TestLoadState(t *testing.T) {
	t.Parallel()
	name := filepath.Join("conf", "gateway.yaml")
	for _, tt := range []struct {
		name, lines string
		want        config.State
		problems    []string
	}{
		{name: "without a secret", lines: "state_dir: state", want: config.State{StateDir: filepath.Join("conf", "state"), KeyFile: filepath.Join("conf", "state", "keys.json")}},
		{name: "a key ring elsewhere", lines: "state_dir: state\nkey_file: ../keys.json", want: config.State{StateDir: filepath.Join("conf", "state"), KeyFile: "keys.json"}},
		{name: "mistakes elsewhere", lines: "state_dir: state\nlisten: x\nlistn: y", want: config.State{StateDir: filepath.Join("conf", "state"), KeyFile: filepath.Join("conf", "state", "keys.json")}},
		{name: "no folder", lines: "listen: x", problems: []string{name + ": state_dir: is missing"}},
		{name: "a mistyped key", lines: "state_dri: state", problems: []string{name + ":1: state_dri: there is no such key"}},
		{name: "an empty folder", lines: "state_dir: ''", problems: []string{name + ":1: state_dir: is empty"}},
		{name: "a bad key ring", lines: "state_dir: state\nkey_file: ''", problems: []string{name + ":2: key_file: is empty"}},
	} {
		got, err := config.LoadState(config.Source{File: name, Data: []byte(tt.lines)})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: state (-want +got):\n%s", tt.name, diff)
		}
		if tt.problems == nil {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if diff := cmp.Diff(tt.problems, problems(t, err)); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", tt.name, diff)
		}
	}
	if _, err := config.LoadState(config.Source{File: name, Data: []byte("{")}); err == nil {
		t.Error("a file that is no YAML was read")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, lines string
		set         map[string]string
		want        []string
	}{
		{name: "nobody may call anything", lines: "access: []",
			want: []string{"access has no rule: people can sign in and nobody can call a tool"}},
		{name: "nothing to warn of", lines: "access: [{name: a, roles: [R], tools: [x]}]"},
		{name: "everybody who makes an account", set: map[string]string{"MICROSOFT_TENANT_ID": "common", "MICROSOFT_ALLOWED_TENANTS": tenantID + ",9188040d-6c67-4c5b-b112-36a304b66dad"},
			lines: "access: [{name: a, tenants: ['*'], tools: [x]}, {name: b, tenants: [" + tenantID + "], tools: [x]}, {name: c, tenants: [9188040d-6c67-4c5b-b112-36a304b66dad], tools: [x]}]",
			want: []string{
				"access: the rule a is for everybody with a personal Microsoft account, which anybody can make",
				"access: the rule c is for everybody with a personal Microsoft account, which anybody can make",
			}},
		{name: "everybody of the tenants that are meant", set: map[string]string{"MICROSOFT_TENANT_ID": "organizations", "MICROSOFT_ALLOWED_TENANTS": tenantID},
			lines: "access: [{name: a, tenants: ['*'], tools: [x]}]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := microsoft()
			maps.Copy(env, tt.set)
			if diff := cmp.Diff(tt.want, mustLoad(t, tt.lines, env).Warnings()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
