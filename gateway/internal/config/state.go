package config

import "path/filepath"

// State is where a gateway keeps what it knows: all that its administration
// needs of the configuration.
type State struct {
	// StateDir and KeyFile are as in Config.
	StateDir string
	KeyFile  string
}

// LoadState reads a configuration for these settings alone, so that whoever
// administers need not hold the secrets that serving takes. Its error is
// Problems: those that may concern them.
func LoadState(src Source) (State, error) {
	l := newLoader(src)
	root, err := l.document()
	if err != nil {
		return State{}, err
	}
	l.section("", root)
	for i := range settings {
		if s := &settings[i]; s.key == "state_dir" || s.key == "key_file" {
			l.load(s)
		}
	}
	if !l.good("state_dir", "key_file") {
		return State{}, l.problems.sorted()
	}
	if l.cfg.KeyFile == "" {
		l.cfg.KeyFile = filepath.Join(l.cfg.StateDir, "keys.json")
	}
	return State{StateDir: l.cfg.StateDir, KeyFile: l.cfg.KeyFile}, nil
}
