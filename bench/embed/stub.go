package main

import "context"

func child(context.Context, options) error  { return nil }
func python(context.Context, *bench) error  { return nil }
func torch(context.Context, *bench) error   { return nil }
func latency(context.Context, *bench) error { return nil }
func memory(context.Context, *bench) error  { return nil }
func start(context.Context, *bench) error   { return nil }
