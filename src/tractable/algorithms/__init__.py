"""Classic problems with faster or leaner algorithms: strings, transport, transforms, coresets."""
