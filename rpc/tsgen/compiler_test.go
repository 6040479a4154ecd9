package tsgen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tsconfig is as strict as a program can be that takes a generated file in.
const tsconfig = `{
  "compilerOptions": {
    "target": "ES2023",
    "lib": ["ES2024", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
    "module": "NodeNext",
    "types": [],
    "noEmit": true,
    "strict": true,
    "noUncheckedIndexedAccess": true,
    "exactOptionalPropertyTypes": true,
    "noImplicitOverride": true,
    "noImplicitReturns": true,
    "noFallthroughCasesInSwitch": true,
    "noUnusedLocals": true,
    "isolatedDeclarations": true,
    "declaration": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true,
    "allowImportingTsExtensions": true
  },
  "include": [%q, %q]
}`

// The TypeScript compiler takes what is written, together with our package and a program that uses it,
// and refuses what does not fit: there are lines in use.ts that must not compile.
func TestCompiler(t *testing.T) {
	tsc, err := compiler()
	if err != nil {
		t.Skip("there is no TypeScript compiler, neither in ts/node_modules (make node installs it) nor in the PATH: ", err)
	}
	for _, dir := range []string{"../../ts/src", "../../ts/test", goldenDir} { // or go test takes its last outcome for this
		if _, err := os.ReadDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	tests, err := filepath.Abs("../../ts/test")
	if err != nil {
		t.Fatal(err)
	}
	tests = filepath.ToSlash(tests)
	config := filepath.Join(t.TempDir(), "tsconfig.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, tsconfig, tests+"/generated/*.ts", tests+"/use.ts"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tsc, "--project", config).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// compiler finds tsc: that of our package, or another.
func compiler() (string, error) {
	ours, err := filepath.Abs("../../ts/node_modules/.bin/tsc")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(ours); err == nil {
		return ours, nil
	}
	return exec.LookPath("tsc")
}
