#include "corbel/text/metaspace.h"

#include "corbel/base/cat.h"
#include "corbel/text/replacer.h"

namespace corbel {

Result<Metaspace> Metaspace::read(const JsonFields& fields) {
  Metaspace settings;
  CORBEL_ASSIGN(settings.replacement, read_char(fields, "replacement", ""));
  CORBEL_ASSIGN(const bool prefix_space, fields.get_bool("add_prefix_space", true));
  CORBEL_ASSIGN(const std::string scheme, fields.get_string("prepend_scheme", prefix_space ? "always" : "never"));
  CORBEL_ASSIGN(settings.split, fields.get_bool("split", true));
  if (scheme == "first") {
    settings.prepend = PrependScheme::first;
  } else if (scheme == "never") {
    settings.prepend = PrependScheme::never;
  } else if (scheme != "always") {
    return fail(Code::unsupported, cat(fields.source(), ": \"", fields.field_name("prepend_scheme"), "\" is \"", scheme,
                                       "\"; known: \"always\", \"first\", \"never\""));
  }
  if (!prefix_space && settings.prepend != PrependScheme::never) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("add_prefix_space"),
                                    "\" is false, but \"prepend_scheme\" is \"", scheme, "\"; expected \"never\""));
  }
  return settings;
}

}  // namespace corbel
