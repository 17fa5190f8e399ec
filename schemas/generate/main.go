// Command generate makes jobstrom.pb.go from jobstrom.proto without an installed protoc.
//
// It compiles the schema with protocompile and hands it to protoc-gen-go, whose version go.mod pins.
// Run it with "go generate ./schemas"; "-check" fails when the committed file is not current.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	source = "jobstrom.proto"
	target = "jobstrom.pb.go"
)

func main() {
	check := flag.Bool("check", false, "fail when "+target+" is not current, write nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	code, err := generate()
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(target, code, 0o644)
	}
	committed, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if !bytes.Equal(committed, code) {
		return fmt.Errorf("%s is not what %s gives: run go generate ./schemas", target, source)
	}
	return nil
}

// generate returns the Go code of the schema in the working directory.
func generate() ([]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), source)
	if err != nil {
		return nil, fmt.Errorf("compiling %s: %w", source, err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: []string{source}, Parameter: proto.String("paths=source_relative")}
	addFile(request, map[string]bool{}, files[0])
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	plugin := exec.Command("go", "tool", "protoc-gen-go")
	plugin.Stdin, plugin.Stderr = bytes.NewReader(in), os.Stderr
	out, err := plugin.Output()
	if err != nil {
		return nil, fmt.Errorf("running protoc-gen-go: %w", err)
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, fmt.Errorf("reading the answer of protoc-gen-go: %w", err)
	}
	if response.Error != nil || len(response.File) != 1 {
		return nil, fmt.Errorf("protoc-gen-go gave %d files and the error %q", len(response.File), response.GetError())
	}
	return []byte(response.File[0].GetContent()), nil
}

// addFile appends a file after the files it imports, as the plugin expects.
func addFile(request *pluginpb.CodeGeneratorRequest, seen map[string]bool, file protoreflect.FileDescriptor) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		addFile(request, seen, file.Imports().Get(i).FileDescriptor)
	}
	var described *descriptorpb.FileDescriptorProto
	if result, ok := file.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok {
		described = result.FileDescriptorProto()
	} else {
		described = protodesc.ToFileDescriptorProto(file)
	}
	request.ProtoFile = append(request.ProtoFile, described)
}
