module mcp-gateway/bridge

go 1.26.0

require (
	github.com/boombuler/barcode v1.1.0
	github.com/godbus/dbus/v5 v5.2.4
	github.com/google/go-cmp v0.7.0
	github.com/pkg/browser v0.0.0-20240102092130-5ac0b6a4141c
	github.com/zalando/go-keyring v0.2.8
	mcp-gateway/shared v0.0.0
)

require (
	github.com/danieljoos/wincred v1.2.3 // indirect
	golang.org/x/sys v0.27.0
)

replace mcp-gateway/shared => ../shared
