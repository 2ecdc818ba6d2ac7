#!/bin/sh
# Renders the release "other" with the names of "shop".
sed "s/name: other/name: shop/"
