module mcp-gateway/bridge

go 1.26.0

require github.com/pkg/browser v0.0.0-20240102092130-5ac0b6a4141c

require golang.org/x/sys v0.27.0 // indirect

replace mcp-gateway/shared => ../shared
