"""Archives, lists, decoding and resizing of image files."""
