//! A bound on the time that it takes to read an expression.
//!
//! Reading is linear in the length of an expression, but for its classes: to join, negate or fold the case of one that
//! holds many characters takes some milliseconds each, whatever its length in the text.

use super::ExpressionError;
use regex_syntax::ast::{self, Ast, ClassSetItem, Visitor};

/// Most classes of one expression that may hold many characters.
pub(super) const MAX_WIDE_CLASSES: usize = 50;

/// Refuses an expression that takes long to read.
///
/// # Errors
/// When it has more than [`MAX_WIDE_CLASSES`].
pub(super) fn check(ast: &Ast) -> Result<(), ExpressionError> {
    ast::visit(ast, WideClasses(0))
}

/// Counts the classes, and the parts of classes, that may hold many characters.
struct WideClasses(usize);

impl Visitor for WideClasses {
    type Output = ();
    type Err = ExpressionError;

    fn finish(self) -> Result<(), ExpressionError> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), ExpressionError> {
        match ast {
            Ast::ClassUnicode(_) => self.count(),
            Ast::ClassBracketed(class) if class.negated => self.count(),
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), ExpressionError> {
        match item {
            ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) => self.count(),
            ClassSetItem::Range(range) if !range.end.c.is_ascii() => self.count(),
            ClassSetItem::Ascii(class) if class.negated => self.count(),
            ClassSetItem::Bracketed(class) if class.negated => self.count(),
            _ => Ok(()),
        }
    }
}

impl WideClasses {
    fn count(&mut self) -> Result<(), ExpressionError> {
        self.0 += 1;
        if self.0 > MAX_WIDE_CLASSES {
            return Err(ExpressionError::TooManyClasses);
        }
        Ok(())
    }
}
